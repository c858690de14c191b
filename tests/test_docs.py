"""Pages of docs/: their links lead somewhere, their code runs, and they name what there is."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import examples
import pytest
import torch
import torchvision

from lth import cli
from lth.analysis import registry, results
from lth.analysis.plot import sparsity
from lth.cli import config
from lth.cli.parser import options, parsed
from lth.store import table

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
MADE = {"api", "notebooks", "results"}  # by a build
PAGES = sorted(page for page in DOCS.rglob("*.md") if page.relative_to(DOCS).parts[0] not in MADE)
TINY = ["steps=5", "evaluate_every=5", "tracking=none"]

every = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).with_suffix("").as_posix())


def text(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text(page), re.DOTALL | re.MULTILINE)


def block(page: str, containing: str) -> str:
    """The one Python block of a page with this text in it."""
    (found,) = [code for code in blocks(page, "python") if containing in code]
    return found


def commands(page: str) -> Iterator[list[str]]:
    """The words of every `lth` command in the blocks of a page, without comments: on lines of their own, within other
    commands, and of containers.
    """
    for line in "".join(blocks(page, "sh")).splitlines():
        program, *words = line.partition(" #")[0].split()
        if program == "lth":
            yield words
        elif within := re.search(r"(?:&& |srun |=\S+ )lth ([^\"'&;]*)", line):
            yield within[1].split()
    for listed in re.findall(r"^ *command: \[lth, (.*)\]", "".join(blocks(page, "yaml")), re.MULTILINE):
        yield [word.strip('"') for word in listed.split(", ")]


def last_job(words: list[str]) -> list[str]:
    """The overrides of the last job of a sweep, of the first of a search, or of the job itself, to be planned in this
    process.
    """
    words = [re.sub(r"=.*interval\(([^,]+),.*", r"=\1", word.strip("'")) for word in words]
    kept = [word for word in words if not word.startswith(("hydra/", "hydra.", "tracking", "plan=", "-m"))]
    return [*(re.sub(r"=[^\[]*,", "=", word) for word in kept), "plan=true", "tracking=none"]


def slugs(page: Path) -> set[str]:
    """Anchors of the headings of a page."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    heads = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def broken(page: Path) -> list[str]:
    """Relative links of a page that lead to no file, or to no heading of it."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    found = []
    for target in re.findall(r"\]\((?!https?://)([^)\s]+)\)", prose):
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.is_file() or (anchor and anchor not in slugs(file)):
            found.append(target)
    return found


def write_files(page: str) -> None:
    """Write every block that begins with the name of its file."""
    for code in blocks(page, "python") + blocks(page, "yaml"):
        name, _, content = code.partition("\n")
        if re.fullmatch(r"# [\w/]+\.(py|yaml)", name):
            file = Path(name.removeprefix("# "))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory whose modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    return tmp_path


@every
def test_relative_links_lead_to_files_and_headings(page: Path) -> None:
    assert broken(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# One head\n[b](b.md) [c](#one-head) [d](#two) [e](a.md#one-head)\n")
    assert broken(tmp_path / "a.md") == ["b.md", "#two"]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_relative_links_of_the_repository_lead_to_files_and_headings(name: str) -> None:
    assert broken(ROOT / name) == []


def test_words_are_spelled_as_in_america() -> None:
    british = re.compile(
        r"\b\w*(?:centre|centring|colour|neighbour|behaviour|favour|labell|catalogue|artefact)\w*", re.I
    )
    files = [*PAGES, *(ROOT / "conf").rglob("*.yaml"), *(ROOT / "lth").rglob("*.py"), *ROOT.glob("*.md")]
    found = {file.name: british.findall(file.read_text(encoding="utf-8")) for file in files}
    assert {name: words for name, words in found.items() if words} == {}


def test_every_page_is_reached_from_the_index() -> None:
    listed = re.findall(r"^[\w/]+$", text("index.md"), re.MULTILINE)
    assert {f"{name}.md" for name in listed} | {"index.md"} == {page.relative_to(DOCS).as_posix() for page in PAGES}


@pytest.mark.long
@every
def test_its_commands_are_some_that_there_are(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = page.relative_to(DOCS).as_posix()
    images = SimpleNamespace(data=torch.zeros(5010, 28, 28, dtype=torch.uint8), targets=torch.arange(5010) % 10)
    monkeypatch.setattr(torchvision.datasets, "KMNIST", lambda *_, **__: images)
    write_files(name)
    for command, *words in commands(name):
        if command == "run":
            assert config.main(last_job(words)) == 0
        else:
            parsed([command, *words])


def test_the_loop_is_that_of_the_project() -> None:
    loop = block("concepts.md", "while tickets:")
    assert "".join(loop.split()) in "".join((ROOT / "lth" / "imp.py").read_text(encoding="utf-8").split())


@pytest.mark.long
def test_the_loop_from_python_finds_tickets_down_to_level_7(capsys: pytest.CaptureFixture[str]) -> None:
    code = block("howto/python.md", "start = dense(")
    assert "steps=500," in code
    exec(code.replace("steps=500,", "steps=5,"), {"__name__": "page"})
    lines = capsys.readouterr().out.splitlines()
    assert [f"'level': {level}," in line for level, line in enumerate(lines)] == [True] * 8
    assert "'remaining': 266200," in lines[0]
    assert "'remaining': 56094," in lines[7]


@pytest.mark.long
def test_a_loop_of_ones_own_keeps_what_is_pruned_at_0(capsys: pytest.CaptureFixture[str]) -> None:
    page = {"__name__": "page"}
    exec(block("howto/python.md", "start = dense(").replace("steps=500,", "steps=5,"), page)
    capsys.readouterr()
    exec(block("howto/python.md", "def plain(tickets").replace("steps=100", "steps=5"), page)
    lines = [line.rpartition(" ") for line in capsys.readouterr().out.splitlines()]
    assert [name for name, _, _ in lines] == [f"ticket, replicate 1, level {level}" for level in range(8)]
    assert int(lines[0][2]) <= 266_610  # weights and biases
    assert 55_000 <= int(lines[7][2]) <= 56_094 + 410


@pytest.mark.long
@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("howto/criterion.md", ["criterion._target_=mine.smallest", "levels=1"]),
        ("howto/criterion.md", ["--config-dir", "conf_mine", "criterion=smallest", "criterion.power=2", "levels=1"]),
        ("howto/model.md", ["model._target_=mine.two_convolutions", "levels=1"]),
        ("howto/model.md", ["--config-dir", "conf_mine", "model=two_convolutions", "levels=0"]),
        ("howto/updater.md", ["--config-dir", "conf_mine", "updater=halve", "updater.at=3", "levels=0"]),
        ("howto/function.md", ["lr._target_=mine.halving", "+lr.half=400", "levels=0"]),
    ],
)
def test_own_functions_train(page: str, words: list[str], folder: Path) -> None:
    write_files(page)
    assert config.main([*words, *TINY]) == 0
    assert (folder / "runs" / "experiments" / "first_ticket").is_dir()


@pytest.mark.long
def test_results_are_read_in_pandas(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (words,) = commands("howto/pandas.md")
    assert cli.main([*words, *TINY, "levels=1"]) == 0
    capsys.readouterr()
    found: dict[str, Any] = {}
    for code in blocks("howto/pandas.md", "python"):
        exec(code, found)
    assert "early_stop_test_accuracy" in capsys.readouterr().out
    named = set(re.findall(r"`(\w+)`", text("howto/pandas.md").partition("The columns")[2].partition("The same")[0]))
    assert named - {"energy_kwh", "stale"} <= {*found["tickets"]}  # columns where a meter runs, and where code changed


@pytest.mark.long
def test_a_store_is_read_and_drawn_from_python(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert config.main([*TINY, "levels=1"]) == 0
    capsys.readouterr()
    exec(block("howto/python.md", "plot.save("), {})
    assert capsys.readouterr().out.startswith("### first_ticket")
    assert (folder / "figures" / "mine.png").is_file()


@pytest.mark.long
def test_a_ticket_is_exported_to_a_file_that_gives_back_the_net(folder: Path) -> None:
    words = ["model=mlp", "model.hidden=[8]", "levels=1", "steps=5"]
    assert config.main([*words, "tracking=none"]) == 0
    assert cli.main(["export", *words, "--level", "1", "--format", "lth-5", "--out", "ticket.lth"]) == 0
    found: dict[str, Any] = {}
    exec(block("howto/compress.md", "unpack(Path("), found)
    assert {name: int(kept.sum()) for name, kept in found["mask"].items()} == {"1.weight": 5018, "3.weight": 72}
    assert cli.main(["export", *words, "--level", "1", "--format", "ticket", "--out", "ticket.safetensors"]) == 0
    read: dict[str, Any] = {}
    exec(block("howto/compress.md", "load_file("), read)
    assert read["start"].keys() == read["end"].keys() == found["net"].state_dict().keys()
    assert {name: int(kept.sum()) for name, kept in read["mask"].items()} == {"1.weight": 5018, "3.weight": 72}


@pytest.mark.long
def test_an_onnx_file_says_how_raw_inputs_become_its_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["model=mlp", "model.hidden=[8]", "levels=1", "steps=50"]
    assert config.main([*words, "tracking=none"]) == 0
    assert cli.main(["export", *words, "--level", "1", "--format", "float32", "--out", "ticket.onnx"]) == 0
    capsys.readouterr()
    exec(block("howto/compress.md", "InferenceSession("), {})
    accuracy = table.tickets(folder / "runs").query("level == 1")["final_test_accuracy"].item()
    assert capsys.readouterr().out == f"{accuracy:.2%}\n"


def test_every_choice_of_every_group_is_in_the_table_of_keys() -> None:
    table = "\n".join(line for line in text("configuration.md").splitlines() if line.startswith("|"))
    shown = set(re.findall(r"\w+", table))
    options = {
        file.stem for file in (ROOT / "conf").glob("*/*.yaml") if file.parent.name not in ("experiment", "hydra")
    }
    assert options - shown == set()


def test_every_experiment_of_a_paper_is_on_one_page() -> None:
    shown = [
        name for page in PAGES for name in re.findall(r"^```\{experiment\} (\w+)$", page.read_text(), re.MULTILINE)
    ]
    assert sorted(shown) == registry.names()


def test_every_page_of_a_paper_has_the_figures_and_tables_of_its_experiments() -> None:
    pages = [*(ROOT / "docs" / "papers").glob("*.md")]
    assert pages
    for page in pages:
        text = page.read_text(encoding="utf-8")
        names = {name for name in re.findall(r"\{experiment\} (\w+)", text) if results.committed(f"{name}.md")}
        for kind in (r"\[Table\]", r"!\[.+\]"):
            where, end = r"\.\./\.\./experiments/results/", "md" if "Table" in kind else "png"
            linked = set(re.findall(rf"{kind}\({where}(\w+)\.{end}\)", text))
            assert (linked == names) if end == "md" else (names <= linked), page


def test_every_command_is_on_the_page_of_commands() -> None:
    named = re.findall(r"^\| `lth (\w+)` \|", text("commands.md"), re.MULTILINE)
    assert [*named, "completion"] == [*options()]


def test_the_name_of_tickets_that_win_is_explained() -> None:
    """It is that of the legend: `lth.analysis.plot.sparsity`."""
    tickets = examples.tickets("one", {1: (0.90, 0.92), 2: (0.90, 0.93), 3: (0.91, 0.93)})
    _, (name,) = sparsity(tickets).axes[0].get_legend_handles_labels()
    assert name == "winning ticket (down to 41%)"
    assert '"winning ticket (down to 21.1%)" names' in text("commands.md")


def test_every_flat_module_is_in_the_reference() -> None:
    flat = {f"lth.{file.stem}" for file in (ROOT / "lth").glob("[a-z]*.py")}
    assert flat <= set(re.findall(r"^   (lth[\w.]+)$", text("reference.md"), re.MULTILINE))


def test_pictures_are_those_that_their_script_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    import pictures

    drawn = {f"{name}.svg": draw() for name, draw in pictures.PICTURES.items()}
    assert drawn == {file.name: file.read_text(encoding="utf-8") for file in (DOCS / "pictures").glob("*.svg")}
