"""Words for a function of the configuration that could not be called, with the remedy."""

import re
import sys
from contextlib import suppress
from traceback import walk_tb
from typing import Any

from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lth.cli.config.accepted import parameters
from lth.cli.config.own import absent, hidden
from lth.store.names import did_you_mean, similar

LATER = ", or, for a function that is called later, set _partial_=true beside _target_"
AT_ONCE = ("data", "task")  # config groups whose functions are called when a job is made
LATE = ("transform", "compare")  # keys of a branch whose functions are called later
_MISSING = re.compile(r"missing \d+ required .*?argument.*?: ('\w+'.*)")
_KEY = re.compile(r"full_key: (\S+)")
_TARGET = re.compile(r"target '([^']+)'")
_UNEXPECTED = re.compile(r"unexpected keyword argument '(\w+)'")
_BY_PLACE = "positional-only arguments passed as keyword arguments"


def reason(node: DictConfig, error: InstantiationException) -> str:
    """The words of the function itself if it is one of lth's, else Hydra's with what they come from."""
    cause = error.__cause__
    called, key, target = _called(node, error)
    if str(error).startswith("Error locating target") and (
        sentence := hidden(target) or absent(target) or _misspelled(target)
    ):
        return f"_target_={target}: {sentence}"
    if isinstance(cause, OSError | ValueError):
        return str(cause)
    if is_at_the_call(node, error) and (remedy := _remedy(called, key, target, str(cause))):
        return f"_target_={target}: {cause}; {remedy}"
    words = f"{error}".partition(", set env var")[0].partition("full_key:")[0]
    said = "" if cause is None else f": {cause}".partition("Are you sure")[0]
    return f"_target_={target}: {words}{said}"


def is_at_the_call(node: DictConfig, error: InstantiationException) -> bool:
    """True if the arguments did not fit, so that nothing of the function itself ran; a decorator may have."""
    cause = error.__cause__
    if not isinstance(cause, TypeError):
        return False
    frames = [frame for frame, _ in walk_tb(cause.__traceback__)]
    name = _called(node, error)[2].rpartition(".")[2]
    if str(cause).partition("()")[0].rpartition(".")[2] == name:  # of another of this name, if this one has begun
        return name not in [frame.f_code.co_name for frame in frames]
    return bool(frames) and str(frames[-1].f_globals.get("__name__")).startswith("hydra.")


def _called(node: DictConfig, error: InstantiationException) -> tuple[DictConfig | None, str, str]:
    """The node whose function was called, which is this one or within it, its key and the name of the function. None
    if it is in a list, of whose items Hydra does not tell the keys.
    """
    own = str(node._get_full_key(None))
    key = found[1] if (found := _KEY.search(str(error))) else own
    called: Any = node
    if inside := key.removeprefix(own).removeprefix("."):
        with suppress(OmegaConfBaseException):
            called = OmegaConf.select(node, inside)
    if isinstance(called, DictConfig) and "_target_" in called:
        return called, key, str(called._target_)
    return None, key, found[1] if (found := _TARGET.search(str(error))) else str(node._target_)


def _remedy(node: DictConfig | None, key: str, target: str, words: str) -> str:
    """Remedy for arguments that do not fit; empty for another error. key: of the node."""
    found = _MISSING.search(words)
    names = re.findall(r"'(\w+)'", found[1]) if found else []
    if _BY_PLACE in words or any(_is_by_place(target, name) for name in names):
        return "arguments are given by name: take the / out of its signature"
    if names:
        how = "beside its _target_" if node is None else f"as {' '.join(f'+{key}.{name}=VALUE' for name in names)}"
        give = f"give {'it' if len(names) == 1 else 'them'}{' ' if node is None else ', '}{how}"
        if node is not None and node.get("_partial_"):
            return give
        of_branch, last = "." in key, key.rpartition(".")[2]
        if (of_branch and last in LATE) or not (of_branch or key in AT_ONCE):
            return f"set _partial_=true beside _target_, since lth calls it later, or {give}"
        return f"{give}{LATER}"
    if found := _UNEXPECTED.search(words):
        return "leave it out" if node is None else f"leave out {key}.{found[1]}"
    return ""


def _is_by_place(target: str, name: str) -> bool:
    """True if a function takes this argument by its position alone."""
    found = (parameters(target) or {}).get(name)
    return found is not None and found.kind is found.POSITIONAL_ONLY


def _misspelled(target: str) -> str:
    """Sentence on a name that an imported module lacks, with the nearest that it has; empty otherwise."""
    module, _, name = target.rpartition(".")
    if (loaded := sys.modules.get(module)) is None or hasattr(loaded, name):
        return ""
    near = similar(name, (each for each in vars(loaded) if not each.startswith("_")))
    return f"{module} has no '{name}'{did_you_mean(near)}"
