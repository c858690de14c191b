"""Command line -> configuration, checked before anything heavy is loaded."""

import difflib
from collections.abc import Sequence
from itertools import pairwise, product
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from lth import UserError
from lth.cli.config.check import check, leaves
from lth.cli.config.conf import CONF, plain, reductions
from lth.cli.config.words import flag_values, flags_first, is_group


def check_all(arguments: Sequence[str]) -> DictConfig:
    """Compose every value of a sweep once, so that a wrong one is named at once and not after the first job; returns
    the configuration of the first job.
    """
    valued = dict(pairwise(arguments))
    given = [a for a in flags_first(arguments) if not a.startswith("-") and a not in flag_values(arguments)]
    folder = valued.get("--config-dir", valued.get("-cd"))
    search = [f"hydra.searchpath=[file://{Path(folder).resolve()}]"] if folder else []
    try:
        overrides = OverridesParser.create().parse_overrides(given)
        lists = [
            [f"{o.get_key_element()}={v}" for v in o.sweep_string_iterator()]
            if o.is_sweep_override()
            else [o.input_line]
            for o in overrides
        ]
        first = [str(options[0]) for options in lists]
        others = [[*first[:i], str(o), *first[i + 1 :]] for i, options in enumerate(lists) for o in options[1:]]
        with initialize_config_dir(str(CONF), version_base="1.3"):
            for chosen in [first, *others]:
                usual = compose("config", [*filter(is_group, chosen), *search])
                cfg = compose("config", [*chosen, *search])
                check(plain(cfg), plain(usual))
                if cfg.scale == "reduced" and not reductions(cfg):
                    raise UserError(f"scale=reduced: nothing of {cfg.name} has a reduced size; give steps= and levels=")
            return compose("config", [*first, *search])
    except (ConfigCompositionException, HydraException, OmegaConfBaseException, ValueError) as error:
        raise UserError(_explained(error)) from error


def compositions(arguments: Sequence[str]) -> list[DictConfig]:
    """The configuration of every job of a sweep, such as replicate=1,2,3; raises UserError."""
    check_all(arguments)
    overrides = OverridesParser.create().parse_overrides(list(arguments))
    options = [
        [f"{o.get_key_element()}={v}" for v in o.sweep_string_iterator()] if o.is_sweep_override() else [o.input_line]
        for o in overrides
    ]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return [compose("config", [str(word) for word in words]) for words in product(*options)]


def _explained(error: Exception) -> str:
    """Hydra's message, and the key that was probably meant."""
    message = str(error).partition("Config search path")[0].strip()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        keys = {key for key in leaves(plain(compose("config"))) if not key.endswith("_")}
    keys |= {folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name != "hydra"}
    wrong = message.partition("'")[2].partition("'")[0].split("=")[0]
    close = difflib.get_close_matches(wrong, keys, n=2, cutoff=0.7)
    if "Got NoneType" in message:
        message = "a group can't be null: name one of its options (of branch several, or none: branch=[])"
    if "To append to your config" in message:
        message = f"there is no key '{wrong}'"
    meant = f". Did you mean {' or '.join(close)}?" if close else ""
    return f"{message}{meant} (lth run --help lists what there is)"
