"""Config groups, their options and all keys with a line on each: from docstrings and the comments of the YAML files.

Nothing is imported for it, so that help is printed fast.
"""

import ast
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

import lth
from lth import UserError
from lth.cli.config.conf import CONF
from lth.store.names import did_you_mean, similar
from lth.store.source.definition import definition

LINE = re.compile(r"(?P<indent> *)(?P<key>[\w.]+):(?: (?P<value>[^#]*?))?\s*(?:#\s*(?P<comment>.*))?")
# Groups that no module of the same name explains, and keys of functions that are not lth's.
GROUPS = {
    "optimizer": "Optimizers: a class of torch.optim or of your own, made anew for every training",
    "tracking": "Trackers, which listen to a run and change no result",
    "experiment": "Runs of the papers' figures, and a demo; their arms are experiment=NAME/ARM",
}
KEYS = {
    "lr": "learning rate",
    "momentum": "share of the last step that is added to the next",
    "weight_decay": "factor of the weights that every step takes away",
    "momentum_decay": "how slowly the momentum grows to its full value (Dozat 2016)",
    "factor": "of the rate, at each of these steps",
}
NOTATION = ("theta_0 = W_0: weights as initialized; W_k: those of step k, where a ticket starts; W_T: trained ones; "
            "theta_0': a fresh draw; *: the default")  # fmt: skip
INDENT = " " * 6


@dataclass(frozen=True)
class Key:
    """A dotted key below its group, its default as written, and what it means."""

    name: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Option:
    """An option of a group, such as magnitude, what it is, and its keys."""

    name: str
    meaning: str
    keys: tuple[Key, ...]


def groups(folder: Path | None = None) -> dict[str, list[Option]]:
    """Group -> its options, those in `folder`, the user's, behind lth's own."""
    found: dict[str, list[Option]] = {}
    for place in [CONF, *([folder] if folder else [])]:
        for group in sorted(each for each in place.iterdir() if each.is_dir() and each.name != "hydra"):
            options = [_option(group, file) for file in sorted(group.rglob("*.yaml"))]
            found.setdefault(group.name, []).extend(options)
    return found


def meaning(group: str) -> str:
    """The first sentence of the module that a group mirrors."""
    path = Path(lth.__file__).parent / group
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if group in GROUPS or not file.is_file():
        return GROUPS.get(group, "of your own")
    return sentence(ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "")


def settings() -> list[Key]:
    """The keys of config.yaml itself."""
    return [key for key in _keys(CONF / "config.yaml") if not key.name.startswith(("hydra.", "defaults"))]


@cache
def options_with(key: str) -> list[str]:
    """The options that have a key, such as quantization=aware for quantization.aware.bits."""
    group, _, rest = key.partition(".")
    return [f"{group}={o.name}" for o in groups().get(group, []) if rest and any(_is(k, rest) for k in o.keys)]


def _is(key: Key, name: str) -> bool:
    return key.name == name or key.name.startswith(f"{name}.")


def _option(group: Path, file: Path) -> Option:
    text = file.read_text(encoding="utf-8")
    name = file.relative_to(group).with_suffix("").as_posix()
    comments = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#") and "@package" not in line]
    target = re.search(r"_target_: *([\w.]+)", text)
    if group.name == "experiment" or target is None:
        return Option(name, sentence(" ".join(comments)), ())
    return Option(name, _documented(target[1]) or sentence(" ".join(comments)) or target[1], tuple(_keys(file)))


def _documented(target: str) -> str:
    """The first sentence of the docstring of a function of lth."""
    try:
        _, found = definition(target) if target.startswith("lth.") else ("", None)
    except LookupError:
        return ""
    documented = isinstance(found, ast.FunctionDef | ast.ClassDef)
    return sentence(ast.get_docstring(found) or "") if documented else ""  # type: ignore[arg-type]


def _keys(file: Path) -> Iterator[Key]:
    above, parents, head = "", list[tuple[int, str]](), ""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("#"):
            above, head = line.lstrip("# "), line
            continue
        if (found := LINE.fullmatch(line)) is None:
            continue
        indent, value = len(found["indent"]), (found["value"] or "").strip()
        parents = [each for each in parents if each[0] < indent]
        name = ".".join([*(parent for _, parent in parents), found["key"]])
        if value and not found["key"].startswith("_"):
            note = found["comment"] or KEYS.get(found["key"], "") or (above if head else "")
            yield Key(name, value, note)
        parents.append((indent, found["key"]))


def sentence(text: str) -> str:
    """The first sentence of a text, without its full stop; "line: ..." begins what is said of an argument."""
    plain = " ".join(text.partition("\n\n")[0].split())
    return re.split(r"(?<!\bet al)(?<!\be\.g)(?<!\bi\.e)(?<!\bvs)(?<!\bcf)\.(?= [A-Z]| \w+: |$)", plain)[0]


def of_groups(names: Sequence[str], folder: Path | None = None) -> str:
    """The help on some groups, or on "all"; raises UserError for one that there is not."""
    chosen = _defaults()
    found = {name: "\n".join(_group(name, options, chosen)) for name, options in groups(folder).items()}
    found |= {"hydra/launcher": LAUNCHERS, "all": "\n\n".join([NOTATION, *found.values()])}
    for name in names:
        if name not in found:
            meant = did_you_mean(similar(name, [*found], most=1)) or f"; there are {', '.join(found)}"
            raise UserError(f"there is no config group '{name}'{meant}")
    return "\n\n".join(found[name] for name in names)


def text(folder: Path | None = None) -> str:
    """The help of `lth run`, with the names of all options."""
    parts = yaml.safe_load((CONF / "hydra" / "help" / "lth.yaml").read_text(encoding="utf-8"))
    examples = parts["template"].partition("Examples")[2].partition("\n\n")[0]
    chosen = _defaults()
    lines = [parts["header"].rstrip(), "", f"Examples{examples}", "", "Settings (key=value)"]
    lines += [_line(f"  {key.name}: {key.value}", key.meaning) for key in settings()]
    lines += ["", "Config groups (group=option; * is the default)"]
    lines += ["lth run --help GROUP explains the options and keys of a group, lth run --help all those of all groups"]
    for group, options in groups(folder).items():
        names = [o.name + "*" * (chosen.get(group) == o.name) for o in options if "/" not in o.name]
        indents: Any = {"initial_indent": INDENT, "subsequent_indent": INDENT}
        lines += [f"  {group}: {meaning(group)}", textwrap.fill(" ".join(names), 116, **indents)]
    return "\n".join([*lines, "", LAUNCHERS, parts["footer"].rstrip()])


def _group(name: str, options: Sequence[Option], chosen: Mapping[str, str]) -> Iterator[str]:
    """Lines on a group, its options and their keys."""
    yield f"{name}: {meaning(name)}"
    for option in options:
        mark = "*" if chosen.get(name) == option.name else " "
        yield _line(f"{mark} {name}={option.name}", option.meaning)
        yield from (_line(f"      {name}.{key.name}: {key.value}", key.meaning) for key in option.keys)


LAUNCHERS = """Launchers of a sweep (-m)
  hydra/launcher=joblib             all cores or GPUs of this machine (default)
  hydra/launcher=basic              one job after the other
  hydra/launcher=slurm              a cluster, one core each; slurm_gpu: one GPU each; pip install 'lth[slurm]'
  hydra/launcher=ray_cluster        a Ray cluster; pip install 'lth[ray]'
"""


def _line(left: str, right: str, at: int = 44) -> str:
    return f"{left:<{at}} {right}".rstrip() if len(left) < at else f"{left}  {right}".rstrip()


def _defaults() -> dict[str, str]:
    """Group -> the option that config.yaml chooses."""
    given = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))["defaults"]
    return {name: str(option) for each in given if isinstance(each, dict) for name, option in each.items()}


def words() -> Sequence[str]:
    """The overrides that a shell completes: groups with their options, and keys."""
    found = groups()
    choices = [f"{group}={option.name}" for group, options in found.items() for option in options]
    keys = [f"{group}.{key.name}=" for group, options in found.items() for option in options for key in option.keys]
    launchers = ["basic", "joblib", *sorted(file.stem for file in (CONF / "hydra" / "launcher").glob("*.yaml"))]
    hydra = [*(f"hydra/launcher={name}" for name in launchers), "hydra/sweeper=optuna"]
    return [*choices, *(f"{key.name}=" for key in settings()), *dict.fromkeys(keys), *hydra, "-m"]
