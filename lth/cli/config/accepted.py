"""Arguments that a function of the user's takes.

`lr._target_=mine.rate` keeps the keys of the option that it replaces. Those that the function does not take are left
out, and those that it has a default for; of optimizers only the former, whose learning rate is the experiment's. A key
that was given is passed on, so that a slip is an error. Where a file names the function, a key is left out only if the
function does not take it and an option of lth's has the same value: the file may hold the others.
"""

import inspect
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from lth.cli.config.conf import CONF
from lth.cli.config.keys import leaves, nodes
from lth.cli.config.literal import parsed
from lth.cli.config.trial import shrinks
from lth.cli.override import key_of
from lth.keywords import signature


def fitted(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The configuration without the keys that options of lth's brought to functions of the user's that do not take
    them, or have defaults of their own. overrides: what was given, which stays.
    """
    fit = cfg.copy()
    OmegaConf.set_struct(fit, False)
    for prefix, name in left_out(cfg, overrides):
        del OmegaConf.select(fit, prefix)[name]
    OmegaConf.set_struct(fit, True)
    return fit


def left_out(cfg: DictConfig, overrides: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(node, key) of these keys."""
    given = {*chain.from_iterable(map(_keys, overrides))}
    config: Any = OmegaConf.to_container(cfg)
    for prefix, node in nodes(config, own=True):
        group = prefix.partition(".")[0]
        replaces = group != "optimizer" and f"{prefix}_target_" in given
        if (taken := parameters(str(node["_target_"]))) is None:
            continue
        for name in node.keys() - {"_target_", "_partial_"}:
            needed = name in taken and not (replaces and taken[name].default is not inspect.Parameter.empty)
            brought = _brought(group, f"{prefix}{name}")
            smaller = config["debug"] and shrinks(f"{prefix}{name}")  # than in any option
            as_brought = node[name] in brought or (smaller and brought)
            if not needed and f"{prefix}{name}" not in given and as_brought:
                yield prefix[:-1], name


def _keys(override: str) -> list[str]:
    """The keys that an override gives values to: several of branch.shuffle.transform={_target_: mine.f, share: 0.5}."""
    value = found.value() if (found := parsed(override)) else None
    return [*leaves({key_of(override): value})] if isinstance(value, dict) else [key_of(override)]


def parameters(target: str) -> Mapping[str, inspect.Parameter] | None:
    """The arguments of a function by name; None if it takes any, or can't be looked at."""
    log = logging.getLogger("hydra.utils")  # which prints what goes wrong; it is told where the function is called
    log.disabled = True
    try:
        found = signature(hydra.utils.get_object(target)).parameters
    except (Exception, SystemExit):
        return None
    finally:
        log.disabled = False
    return None if any(each.kind is each.VAR_KEYWORD for each in found.values()) else found


@cache
def _brought(group: str, key: str) -> list[Any]:
    """Values of a key in the options of a config group of lth's."""
    options: list[Any] = [
        OmegaConf.to_container(OmegaConf.load(file)) for file in sorted((CONF / group).glob("*.yaml"))
    ]
    return [found[key] for option in options if key in (found := leaves({group: option}))]
