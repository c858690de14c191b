"""The environment variables of wandb, where a configuration is silent. Does not import wandb."""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from lth import UserError
from lth.cli.handlers import variable
from lth.store.names import check_project

DATA = "WANDB_DATA_DIR"
# Values of WANDB_MODE, in wandb's older words too -> its mode.
MODES = {**{mode: mode for mode in ("offline", "online", "disabled", "shared")}, "dryrun": "offline", "run": "online"}


def data_in(folder: Path) -> AbstractContextManager[None]:
    """Let wandb keep what it will upload in this folder, not in the user's home, unless the user names another."""
    return variable(DATA, os.environ.get(DATA) or str(folder / "wandb" / "data"))


def mode() -> Any:
    """The mode that WANDB_MODE names; offline if it is not set. Raises UserError."""
    if not (named := os.environ.get("WANDB_MODE")):
        return "offline"
    if named not in MODES:
        raise UserError(f"WANDB_MODE={named}: choose one of {', '.join(MODES)}")
    return MODES[named]


def keep_silent(mode: str) -> None:
    """Without a connection, keep wandb from reporting times, versions and errors of its own to its makers: it looks up
    their host before it knows the mode. Its service process reads the same variable. What the user set stays.
    """
    if mode in ("offline", "disabled"):
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")


def project() -> str:
    """The project that WANDB_PROJECT names; "lth" if it is not set. Raises UserError."""
    project = os.environ.get("WANDB_PROJECT") or "lth"
    check_project("WANDB_PROJECT", project)
    return project


def quiet() -> dict[str, Any]:
    """Settings that keep the terminal clean, unless the environment says otherwise."""
    usual = {"WANDB_SILENT": ("silent", True), "WANDB_CONSOLE": ("console", "off")}
    return {"x_disable_stats": True, **{key: value for name, (key, value) in usual.items() if not os.environ.get(name)}}


def tags(given: Sequence[str]) -> list[str]:
    """The tags of WANDB_TAGS and these, each once."""
    return list(dict.fromkeys([*filter(None, os.environ.get("WANDB_TAGS", "").split(",")), *given]))
