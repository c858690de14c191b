"""The arguments of `lth run`, taken apart: flags, which Hydra reads, and overrides, in any order."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from lth import UserError
from lth.analysis.registry import CONF
from lth.store.names import check_path, did_you_mean, similar

SWEEP = ("--multirun", "-m")
FOLDER = ("--config-dir", "-cd")
INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
HELP = ("--help", "-h")  # lth's own, as is --version
# Flags after which Hydra prints something and runs nothing; with --cfg, it needs a valid configuration.
PRINTS = ("--hydra-help", "--info", "-i", "--shell-completion", "-sc")
SHOWS = ("--cfg", "-c")
PLAIN = (*HELP, "--version", *PRINTS, *SWEEP, "--resolve", "--run", "-r")
VALUED = (*FOLDER, *SHOWS, "--package", "-p")
REPLACES = ("--config-path", "-cp", "--config-name", "-cn", "--experimental-rerun")


@dataclass(frozen=True)
class Arguments:
    """Flags of Hydra, each followed by its value if it has one, and overrides."""

    flags: tuple[str, ...]
    overrides: tuple[str, ...]

    def has(self, names: Sequence[str]) -> bool:
        """True if one of these flags is given."""
        return not {*names}.isdisjoint(self.flags)

    @property
    def folder(self) -> Path | None:
        """The value of --config-dir; raises UserError if it is no folder."""
        places = [at for at, flag in enumerate(self.flags) if flag in FOLDER]
        return check_folder(self.flags[places[-1] + 1]) if places else None


def parted(arguments: Sequence[str]) -> Arguments:
    """Take arguments apart; raises UserError for flags that `lth run` does not have. --debug: traceback=true."""
    flags, overrides = list[str](), list[str]()
    rest = iter(_split(arguments))
    for argument in rest:
        if argument == "--debug":
            overrides.append("traceback=true")
        elif not argument.startswith("-"):
            overrides.append(argument)
        else:
            flags += [argument, *_value(argument, rest)]
    return Arguments(tuple(flags), tuple(overrides))


def _split(arguments: Sequence[str]) -> list[str]:
    """Split --flag=value into two arguments, and give --info its value."""
    parts = [part for a in arguments for part in (a.split("=", 1) if a.startswith("-") else [a])]
    pairs = zip_longest(parts, parts[1:], fillvalue="")
    return [part for a, b in pairs for part in ([a, "all"] if a in ("--info", "-i") and b not in INFO else [a])]


def _value(flag: str, rest: Iterator[str]) -> list[str]:
    """The value that follows a flag, if it takes one."""
    if flag in VALUED or flag in ("--info", "-i"):
        if (value := next(rest, None)) is None:
            raise UserError(f"{flag} needs a value after it")
        return [value]
    if flag in REPLACES:
        raise UserError(f"{flag}: lth run has its own configuration; --config-dir DIR adds yours to it")
    if flag not in PLAIN:
        raise UserError(f"there is no flag {flag}{_meant(flag)}")
    return []


def _meant(flag: str) -> str:
    """The override of this name, or another flag, that may have been meant."""
    key = flag.lstrip("-").replace("-", "_")
    if key == "dry_run":
        return "; plan=true shows what would be trained"
    keys = {*re.findall(r"^(\w+):", (CONF / "config.yaml").read_text(encoding="utf-8"), re.MULTILINE)}
    if key in (keys | {folder.name for folder in CONF.iterdir() if folder.is_dir()}) - {"defaults", "hydra"}:
        return f"; settings are overrides: {key}=VALUE"
    meant = similar(flag, [*PLAIN, *VALUED, "--debug"], most=1)
    return f"{did_you_mean(meant)} (lth run --hydra-help lists all flags)"


def check_folder(text: str) -> Path:
    """The value of --config-dir as a path; raises UserError if there is no such folder."""
    check_path("--config-dir", text)
    if not Path(text).is_dir():
        raise UserError(f"--config-dir={text}: there is no such folder")
    return Path(text)
