"""Words for a function of the configuration that could not be called, with the remedy."""

import re
import sys

from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from lth.cli.config.own import absent, hidden
from lth.store.names import did_you_mean, similar

LATER = ", or, for a function that is called later, set _partial_=true beside _target_"
_MISSING = re.compile(r"missing \d+ required .*?argument.*?: ('\w+'.*)")
_KEY = re.compile(r"full_key: (\S+)")
_UNEXPECTED = re.compile(r"unexpected keyword argument '(\w+)'")


def reason(node: DictConfig, error: InstantiationException) -> str:
    """The words of the function itself if it is one of lth's, else Hydra's with what they come from."""
    cause = error.__cause__
    sentence = hidden(node._target_) or absent(node._target_) or _misspelled(node._target_)
    if str(error).startswith("Error locating target") and sentence:
        return f"_target_={node._target_}: {sentence}"
    if isinstance(cause, OSError | ValueError):
        return str(cause)
    own = str(node._get_full_key(None))
    key = found[1] if (found := _KEY.search(str(error))) else own
    inside = key.removeprefix(own).removeprefix(".")
    called = (OmegaConf.select(node, inside) if inside else None) or node
    if isinstance(cause, TypeError) and _is_at_the_call(cause, called) and (remedy := _remedy(called, key, str(cause))):
        return f"_target_={called._target_}: {cause}; {remedy}"
    words = f"{error}".partition(", set env var")[0].partition("full_key:")[0]
    said = "" if cause is None else f": {cause}".partition("Are you sure")[0]
    return f"_target_={node._target_}: {words}{said}"


def _is_at_the_call(error: TypeError, node: DictConfig) -> bool:
    """True if the arguments did not fit, so that nothing of the function itself ran; a decorator may have."""
    if str(error).startswith(f"{node._target_.rpartition('.')[2]}()"):
        return True
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and str(last.tb_frame.f_globals.get("__name__")).startswith("hydra.")


def _remedy(node: DictConfig, key: str, words: str) -> str:
    """Remedy for arguments that do not fit; empty for another error. key: of the node."""
    if found := _MISSING.search(words):
        keys = [f"+{key}.{name}=VALUE" for name in re.findall(r"'(\w+)'", found[1])]
        later = "" if node.get("_partial_") else LATER
        return f"give {'it' if len(keys) == 1 else 'them'}, as {' '.join(keys)}{later}"
    return f"leave out {key}.{found[1]}" if (found := _UNEXPECTED.search(words)) else ""


def _misspelled(target: str) -> str:
    """Sentence on a name that an imported module lacks, with the nearest that it has; empty otherwise."""
    module, _, name = target.rpartition(".")
    if (loaded := sys.modules.get(module)) is None or hasattr(loaded, name):
        return ""
    near = similar(name, (each for each in vars(loaded) if not each.startswith("_")))
    return f"{module} has no '{name}'{did_you_mean(near)}"
