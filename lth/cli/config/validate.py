"""Validation of a configuration, on plain mappings and without importing torch, so that errors are reported quickly."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from lth import UserError
from lth.cli.config.annotation import Annotation
from lth.cli.config.bounds import check_bound, check_sizes
from lth.cli.config.conf import active
from lth.cli.config.keys import Config, leaves, nodes
from lth.cli.config.rules import check_rules
from lth.cli.config.signature import REQUIRED, Parameter, choices, parameters
from lth.store.names import did_you_mean, similar

# Keywords of a config group's functions that lth itself supplies when it calls them.
SUPPLIED = {
    "augment": {"replicate", "step"},
    "branch": {"draw", "recipe", "init", "line", "inverse", "drawn"},
    "criterion": {"task"},
    "quantization": {"recipe", "bits"},
    "updater": {"replicate", "net", "stepped"},
    "tracking": {"group", "name", "folder", "config", "identity", "tags"},
}
# Keys of a function's node that lth keeps for itself.
KEPT = {
    "model.output": Annotation((str,)),
    "data.limit": Annotation((int, type(None))),
    "data.size": Annotation((int, type(None)), items=Annotation((int,))),
}
# Classes whose fields are the keys beside `transform`, and those that there are in each group.
ENTRIES = {"branch": "lth.job.Branch", "quantization": "lth.job.Branch"}
BESIDE = {"branch": ("levels", "draws", "compare"), "quantization": ("levels", "bits")}
ALIASES = {
    "device": "lth.job.values.Device",
    "kernel": "lth.recipe.Kernel",
    "precision": "lth.recipe.Precision",
    "scale": "lth.cli.config.conf.Scale",
    "store.keep": "lth.store.store.Keep",
    "meter": "lth.engine.meter.Choice",
}
AUTO = {"precision"}
OTHERWISE = re.compile(r"[\d.eE+-]*|true|false|null", re.IGNORECASE)  # text that looks like another value


def validate(config: Config, usual: Config) -> None:
    """Raise UserError for the first invalid key or value. `usual`: the same groups and entries, no other override."""
    config = active(config)
    check_sizes(config)
    _check_nodes(config, usual)
    _check_keys(config, usual)
    for prefix, node in nodes(config):
        _check_function(prefix, node)
    for group, kind in ENTRIES.items():
        for name, entry in (config.get(group) or {}).items():
            _check_entry(f"{group}.{name}.", entry, parameters(kind))
    check_rules(config)


def _check_nodes(config: Config, usual: Config) -> None:
    """Raise UserError for a value in the place of a function's node, such as criterion.of=random."""
    for prefix, node in nodes(usual):
        given: Any = config
        for part in prefix.split(".")[:-1]:
            given = given.get(part) if isinstance(given, Mapping) else None
        if not (given is None or isinstance(given, Mapping)):
            key = prefix.removesuffix(".")
            raise UserError(f"{key}={given}: it takes a function, such as {prefix}_target_={node['_target_']}")


def _check_keys(config: Config, usual: Config) -> None:
    """Check keys outside lth functions against their defaults. Keys added to a user's function or another library's
    are not known here.
    """
    given, defaults = leaves(config), leaves(usual)
    ours = tuple(prefix for prefix, _ in nodes(config))
    for key, default in defaults.items():
        if key in given and not key.startswith(ours):
            _check_value(key, given[key], _annotation(key, default), default)
            check_bound(key, key, given[key])
            if key.startswith("optimizer.") and isinstance(default, list) and len(given[key]) != len(default):
                raise UserError(f"{key}={given[key]}: give {len(default)} numbers, such as {default}")
    for key in sorted(given.keys() - defaults.keys()):
        if not (key.startswith(ours) or _in_function(config, key) or _is_field(key)):
            raise _unknown(key, defaults)


def _is_field(key: str) -> bool:
    """Test for a key beside the function of an entry, such as branch.NAME.levels; a file need not name them all."""
    group, _, rest = key.partition(".")
    return rest.partition(".")[2] in BESIDE.get(group, ())


def _in_function(config: Config, key: str) -> bool:
    """Test whether a key, or a mapping around it, belongs to a node with a `_target_`."""
    node: Any = config
    for part in key.split(".")[:-1]:
        node = node[part]
        if "_target_" in node:
            return True
    return False


def _annotation(key: str, default: Any) -> Annotation:
    """Type of a key outside functions: by its alias or its default, which says nothing if it is null."""
    if key in ALIASES:
        return Annotation(choices=("auto",) * (key in AUTO) + choices(ALIASES[key]))
    if default is None or key.endswith("_target_") or key in ("levels", "replicate"):
        return Annotation()
    return Annotation(items=Annotation()) if isinstance(default, list) else Annotation((type(default),))


def _check_function(prefix: str, node: Config) -> None:
    target = node["_target_"]
    supplied = SUPPLIED.get(prefix.partition(".")[0], set())
    wanted = {name: p for name, p in _parameters(prefix, target).items() if name not in supplied}
    kept = {name: node[name] for name in node if f"{prefix}{name}" in KEPT}
    given = {name: value for name, value in node.items() if name not in ("_target_", "_partial_", *kept)}
    for name, value in kept.items():
        _check_value(f"{prefix}{name}", value, KEPT[f"{prefix}{name}"], "")
        check_bound(f"{prefix}{name}", f"lth.{prefix}{name}", value)
    for name, value in given.items():
        if name not in wanted:
            raise _unknown(f"{prefix}{name}", {f"{prefix}{name}" for name in wanted})
        _check_value(f"{prefix}{name}", value, wanted[name].annotation, wanted[name].default)
        check_bound(f"{prefix}{name}", f"{target.rpartition('.')[0]}.{name}", value)
    for name, parameter in wanted.items():
        if parameter.default is REQUIRED and name not in given:
            raise UserError(f"{prefix}{name} is missing: {target} needs it")


def _parameters(prefix: str, target: str) -> dict[str, Parameter]:
    try:
        return parameters(target)
    except UserError as error:
        raise UserError(f"{prefix}_target_={target}: {error}") from None


def _check_entry(prefix: str, entry: Config, fields: Mapping[str, Parameter]) -> None:
    compare = entry.get("compare")
    if not (compare is None or (isinstance(compare, Mapping) and "_target_" in compare)):
        raise UserError(
            f"{prefix}compare={compare}: must be null or a function, {prefix}compare._target_=module.function"
        )
    for name in entry.keys() & fields.keys() - {"transform"}:
        _check_value(f"{prefix}{name}", entry[name], fields[name].annotation, fields[name].default)
        check_bound(f"{prefix}{name}", f"lth.job.{name}", entry[name])


def _check_value(key: str, value: Any, annotation: Annotation, default: Any) -> None:
    if not annotation.accepts(value):
        written = str(default).lower() if isinstance(default, bool) else default
        example = "" if annotation.choices or default in (REQUIRED, None) else f", such as {written}"
        quote = "'" * (isinstance(value, str) and bool(OTHERWISE.fullmatch(value)))
        raise UserError(f"{key}={quote}{value}{quote}: {annotation}{example}")


def _unknown(key: str, known: Iterable[str]) -> UserError:
    """An error that names the key, and similar ones beside it."""
    parent, _, name = key.rpartition(".")
    beside = {other.rpartition(".")[2]: other for other in known if other.rpartition(".")[0] == parent}
    close = [beside[other] for other in similar(name, beside)]
    return UserError(f"there is no key '{key}'{did_you_mean(close)} (lth run --help all lists all keys)")
