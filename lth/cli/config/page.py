"""The help page of `lth run`: examples, config groups, and the configuration that the given overrides compose.

Hydra's own lists the groups by copying its whole configuration once for each, which takes a second.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from string import Template

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf, open_dict

from lth.cli.config.compose import errors_explained, search_path
from lth.cli.config.conf import CONF
from lth.cli.config.files import check_files


def page(overrides: Sequence[str], folder: Path | None) -> str:
    """The page as text; raises UserError. folder: the value of --config-dir."""
    check_files(overrides, folder)
    with errors_explained(), initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", [*overrides, *search_path(folder)], return_hydra_config=True)
    template = Template(cfg.hydra.help.template)
    with open_dict(cfg):
        del cfg["hydra"]
    places = [CONF, *([folder] if folder else [])]
    listed = "".join(f"{group}: {', '.join(options)}\n" for group, options in sorted(groups(places).items()))
    return template.substitute(APP_CONFIG_GROUPS=listed, CONFIG=OmegaConf.to_yaml(cfg))


def groups(places: Sequence[Path]) -> dict[str, list[str]]:
    """Config group -> its options, of files in these folders."""
    found: dict[str, set[str]] = {}
    for place in places:
        for group, option in _options(place):
            found.setdefault(group, set()).add(option)
    return {group: sorted(options) for group, options in found.items()}


def _options(place: Path) -> Iterator[tuple[str, str]]:
    for file in place.rglob("*.yaml"):
        group = file.relative_to(place).parent.as_posix()
        if group != "." and not group.startswith("hydra/") and group != "hydra":
            yield group, file.stem
