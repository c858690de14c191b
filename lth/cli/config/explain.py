"""Errors of Hydra as sentences that name the key, and what may have been meant."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import reduce
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lth import UserError
from lth.cli.config.choices import choice
from lth.cli.config.conf import CONF, plain
from lth.cli.config.keys import leaves
from lth.cli.config.reference import groups, options_with
from lth.store.names import did_you_mean, similar

SHARE = "it follows from levels, or schedule=exponential schedule.density=0.1 schedule.rounds=1 levels=1"
RATE = "the learning rate is optimizer.lr, as in optimizer.lr=0.1"
# Keys that other programs have -> what says the same here.
MEANT = {
    "epochs": "training is counted in steps (steps=1000)",
    "seed": "the seed is replicate (replicate=1)",
    "batch": "it is batch_size here",
    "learning_rate": RATE,
    "optimizer.learning_rate": RATE,
    "density": SHARE,
    "sparsity": SHARE,
    "launcher": "it is hydra/launcher, as in hydra/launcher=joblib",
    "sweeper": "it is hydra/sweeper, as in hydra/sweeper=optuna",
}
LAUNCHERS = ("joblib", "slurm", "slurm_gpu", "ray_cluster")


@contextmanager
def errors_explained() -> Iterator[None]:
    """Make errors of Hydra a UserError."""
    try:
        yield
    except UserError:
        raise
    except RecursionError as error:
        raise UserError("files of the configuration name each other, or themselves, in their defaults lists: take out "
                        "the entry that closes the circle") from error  # fmt: skip
    except (ConfigCompositionException, HydraException, OmegaConfBaseException, ValueError) as error:
        raise UserError(explanation(error)) from error


def explanation(error: Exception) -> str:
    """Hydra's message, and the keys that may have been meant."""
    message = str(error).partition("Config search path")[0].strip()
    if sentence := _left_out(message):
        return sentence
    with composing():
        keys = {key for key in leaves(plain(compose("config"))) if not key.endswith("_")}
    keys |= {folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name != "hydra"}
    if sentence := choice(message, re.findall(r"path=file://(.+)", str(error))):
        return sentence
    wrong = message.partition("'")[2].partition("'")[0].split("=")[0]
    if wrong.startswith("hydra.launcher.") and "To append to your config" in message:
        return _of_launcher(wrong)
    if message.startswith("Error merging override") and error.__cause__:
        return f"{message}: {str(error.__cause__).partition(chr(10))[0]}"
    group = wrong.partition(".")[0]  # of which another option than the usual one may be chosen
    others = {f"{group}.{key.name}" for option in groups().get(group, ()) for key in option.keys}
    if message.startswith("Config group override must be") and "Got NoneType" not in message:
        return f"a group takes the name of one of its options, as in lr=cosine, and no number ({RATE})"
    if meant := MEANT.get(wrong) or MEANT.get(group):
        return f"there is no key '{wrong}': {meant} (lth run --help all lists all keys)"
    close = similar(wrong, keys)
    closer = similar(wrong, keys | others, cutoff=0.85)
    if "Got NoneType" in message:
        message = "a config group can't be null: name one of its options (for no branch: branch=[])"
    if "To append to your config" in message:
        if wrong in groups():
            return f"{wrong} is a config group: it takes the name of one of its options (lth run --help lists them)"
        message = f"there is no key '{wrong}'"
    if message.startswith("Could not delete from config. The value of"):  # is another
        return message.rstrip(".")
    if message.startswith("Could not delete from config"):
        if wrong in keys | others:  # Hydra takes null for missing
            return f"~{wrong} takes nothing out: it is null, or no option that is chosen here has it"
        message = f"~{wrong} takes nothing out: there is no such key"
    nearly = similar(wrong, keys, cutoff=0.85)
    meant = _remedy(message, wrong)
    addition = "" if nearly or meant else _addition(message, wrong)
    if named := [] if meant else closer or ([] if addition else close):
        meant, addition = did_you_mean(named), addition.replace(";", "", 1)
    return f"{message}{meant}{addition} (lth run --help all lists all keys)"


def _left_out(message: str) -> str:
    """The error of a branch that takes the value of one that is left out, from Hydra's message; empty for others."""
    if not (found := re.search(r"Interpolation key '(branch\.\S+)' not found\s+full_key: (branch\.\S+)", message)):
        return ""
    there, here = (".".join(key.split(".")[:2]) for key in found.groups())
    idle = f"{there}.levels=[] trains nothing of it"
    what = f"{found[2]} takes the value of {found[1]}, which is left out"
    return f"{what}: keep {there} ({idle}), or leave {here} out too" if there != here else ""


def _remedy(message: str, wrong: str) -> str:
    """The remedy for a key of a group that is off."""
    if message.startswith("there is no key") and (having := options_with(wrong)):
        one = "that" if len(having) == 1 else "one of them"
        own = f", or give it to a function of your own (+{wrong}=...)"
        return f" with the groups chosen here; it belongs to {', '.join(having)}: choose {one}{own}"
    return ""


def _addition(message: str, wrong: str) -> str:
    """The override that gives a function another argument, if it is not one of lth's."""
    group = wrong.partition(".")[0]
    if group == wrong or not message.startswith("there is no key") or not (CONF / group).is_dir():
        return ""
    own = "" if group == "optimizer" else ", if its function is not one of lth's"
    return f"; +{wrong}=... adds it{own}"


def _of_launcher(wrong: str) -> str:
    """The error of a key that the chosen launcher does not have, with the launchers that do."""
    prefix, keys, takes_any = "hydra.launcher.", dict[str, set[str]](), dict[str, bool]()
    short = wrong.removeprefix(prefix)
    with composing():
        for name in LAUNCHERS:
            file = CONF / "hydra" / "launcher" / f"{name}.yaml"
            found = OmegaConf.load(file) if file.exists() else OmegaConf.create()
            with suppress(HydraException):  # its plugin is not installed
                found = compose("config", [f"hydra/launcher={name}"], return_hydra_config=True).hydra.launcher
            own: Any = OmegaConf.to_container(found, resolve=False)
            keys[name] = {key for key in leaves(own) if key not in {"_target_", "defaults"}}
            takes_any[name] = isinstance(reduce(_inside, short.split(".")[:-1], own), dict) and "." in short
    known, taking = set().union(*keys.values()), [name for name, any_ in takes_any.items() if any_]
    near = similar(short, known, cutoff=0.9 if taking else 0.7)
    said = did_you_mean([prefix + key for key in near])
    if having := [f"hydra/launcher={name}" for name, own in keys.items() if short in own]:
        said = f"; it belongs to {', '.join(having)}: add {'that' if len(having) == 1 else 'one of them'}"
    elif taking and not near:
        said = f"; with hydra/launcher={taking[0]}, +{wrong}=... adds it"  # to a part of it that takes any
    of_one = "lth run --cfg hydra hydra/launcher=NAME lists those of a launcher"
    return f"the launcher that is chosen has no key '{wrong}'{said} ({of_one})"


def _inside(node: Any, key: str) -> Any:
    return node.get(key) if isinstance(node, dict) else None


@contextmanager
def composing() -> Iterator[None]:
    """Let Hydra compose configurations of lth, also where it composes another one or runs a job."""
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = before  # asked for again: Hydra has put a copy in its place
