"""`lth report`: content of a page, its independence of other files, and its rendering in a browser."""

import base64
import html
import io
import json
import shutil
import subprocess
import tempfile
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import examples
import matplotlib.image
import pandas as pd
import pytest
import shell
from examples import folder

from lth import cli
from lth.analysis import registry
from lth.analysis.markdown import blocks
from lth.analysis.report import lab
from lth.analysis.report.blocks import Block, Heading, Paragraph, Picture, Table
from lth.analysis.report.commands import trained
from lth.analysis.report.content import Content, gather
from lth.analysis.report.page import page, templates
from lth.store import Record
from lth.store.environment import environment

__all__ = ["folder"]
ACCURACIES = {1: (0.90, 0.92), 2: (0.80, 0.81)}
NOWHERE = Path("nowhere")
VOID = {"meta", "img"}
HOSTILE = "<script>alert('1')</script>\" onload=\"alert(2) & <b>"
RECORD = """Somebody 2020, Figure 1: is it so?

About it.

Command
    lth figure one --run data.root=DIR        in full
    lth figure one --run scale=reduced
Expect (the paper, 5 trials)
    It is re-
    initialized, -4 and
    -6 too.
Cost
    Little.
Result
"""


class Page(HTMLParser):
    """A page, parsed independently of its writer; every element must be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text[self.open[-1] if self.open else ""] = self.text.get(self.open[-1] if self.open else "", "") + data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def sections(text: str) -> list[str | None]:
    return [attributes["id"] for attributes in Page(text).all("section")]


@pytest.fixture(scope="module")
def fig4() -> Content:
    """Content of the page of committed results."""
    return gather("frankle2019_fig4", NOWHERE, NOWHERE)


@pytest.fixture(scope="module")
def text(fig4: Content) -> str:
    return page(fig4)


# ---- the lab record


def test_a_lab_record_is_split_at_its_headings() -> None:
    record = lab.parse(RECORD)
    assert record.title == "Somebody 2020, Figure 1: is it so?"
    assert record.about.prose == "About it."
    assert lab.commands(record.command) == [
        ("lth figure one --run data.root=DIR", "in full"),
        ("lth figure one --run scale=reduced", ""),
    ]
    assert record.expect == lab.Part("the paper, 5 trials", ("It is re-", "initialized, -4 and", "-6 too."))
    assert record.expect.prose == "It is re-initialized, -4 and -6 too."
    assert record.result == lab.Part("", ())


def test_a_note_goes_on_until_its_parenthesis_is_closed() -> None:
    note = "Result (n = 3 (the paper:\n    5), one thread;\n    one.md)"
    record = lab.parse(f"A title.\n\nCost\n    Little.\n{note}\n    All is well (so far.\n")
    assert record.cost == lab.Part("", ("Little.",))
    assert record.result == lab.Part("n = 3 (the paper: 5), one thread; one.md", ("All is well (so far.",))


def test_every_experiment_has_a_record_with_command_expectation_cost_and_result() -> None:
    for name in registry.names():
        record = lab.parse(registry.load(name).__doc__ or "")
        assert record.title
        assert all(command.startswith("lth ") for command, _ in lab.commands(record.command)), name
        assert lab.commands(record.command)[0][0].startswith(f"lth figure {name} --run"), name
        assert record.expect.prose, name
        assert record.cost.prose, name
        assert record.result.prose or record.result.note.startswith("not run"), name


# ---- markup


def markup(block: Block) -> str:
    """Markup of one block, without line ends."""
    macros: Any = templates().get_template("blocks.html").module
    return str(macros.markup(block, type(block).__name__)).replace("\n", "")


def test_content_is_escaped() -> None:
    assert markup(Paragraph("a < b & c <b>", note=True)) == '<p class="note">a &lt; b &amp; c &lt;b&gt;</p>'
    assert markup(Heading("<i>")) == "<h3>&lt;i&gt;</h3>"
    assert markup(Picture('"f"', "<g>", "image/png", b"abc")) == (
        '<figure><div class="wide picture" role="region" tabindex="0" aria-label="&#34;f&#34;">'
        '<img src="data:image/png;base64,YWJj" alt="&lt;g&gt;"></div><figcaption>&#34;f&#34;</figcaption></figure>'
    )


def test_a_table_has_a_row_of_groups_above_its_header() -> None:
    table = Table("what", ["a", "b"], [["1", "x"]], [("", 1), ("<g>", 1)])
    head, _, body = markup(table).partition("<tbody>")
    assert '<tr><th scope="colgroup" colspan="1"></th><th scope="colgroup" colspan="1">&lt;g&gt;</th></tr>' in head
    assert '<tr><th scope="col" class="number">a</th><th scope="col" class="short">b</th></tr>' in head
    assert body.startswith('<tr><td class="number">1</td><td class="short">x</td></tr></tbody>')


def test_numbers_are_aligned_right_and_short_text_is_kept_on_one_line() -> None:
    rows = [["98.31 ± 0.05", "2.51 times", "x" * 30], ["", "–", "1"]]
    assert Table("what", ["a", "b", "c"], rows).kinds == ["number", "short", "text"]


# ---- a page of the committed results


@pytest.mark.long
def test_a_page_has_every_section_but_that_of_missing_files(text: str) -> None:
    assert sections(text) == ["question", "figures", "scorecard", "results", "cost", "commands", "versions"]
    links = [attributes["href"] for attributes in Page(text).all("a")]
    assert links == [f"#{name}" for name in sections(text)]
    assert len(Page(text).all("h1")) == 1


def test_a_page_requests_nothing(text: str) -> None:
    seen = Page(text)
    assert {tag for tag, _ in seen.elements}.isdisjoint({"script", "link", "iframe", "object", "embed", "form", "base"})
    for _, attributes in seen.elements:
        assert all(str(attributes.get(name, "data:")).startswith(("data:", "#")) for name in ("src", "href", "srcset"))
        assert not [name for name in attributes if name.startswith("on")]
    assert "url(" not in seen.text["style"]
    assert "@import" not in seen.text["style"]
    policy = [meta["content"] for meta in seen.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


def test_the_figure_is_inside_and_described(text: str) -> None:
    (image,) = Page(text).all("img")
    kind, _, data = str(image["src"]).partition(";base64,")
    assert kind == "data:image/svg+xml"
    assert b"<svg" in base64.b64decode(data)
    assert image["alt"] == (
        "Frankle & Carbin 2019, Figure 4: early stop and accuracy there of LeNet-300-100, tickets beside "
        "re-initialization. Accuracy at early stop and early-stop step against percent of weights remaining."
    )


@pytest.mark.parametrize(
    "said",
    [
        "at 21% the ticket stops 2.51 times earlier",  # the paper's values
        "three quarters of the",  # our results
        "<td class=\"short\">2.03 ± 0.55 times</td>",  # the scorecard
        "<td class=\"number\">4800 ± 2736</td>",  # the table
        '<td class="number">1.1 ± 1.1</td><td class="number">0.12</td>',  # the cost
        '<td class="short">samples</td><td class="short">255,000,000</td><td class="short">1,095,000,000</td>',
        "price cpu_core = 0.01 to 0.0475 $/h",
        "lth figure frankle2019_fig4 --run data.root=DIR",
        "lth run plan=true experiment=frankle2019_fig4/one_shot",
        "lth report frankle2019_fig4 --runs nowhere",
        "2026-11-26T18:53:32+00:00\n",  # the first of the trainings
        environment()["torch"],
    ],
)  # fmt: skip
def test_a_page_says(text: str, said: str) -> None:
    assert said in html.unescape(text)


def test_the_cost_is_that_of_lth_cost(fig4: Content, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cost", "frankle2019_fig4", "--runs", "nowhere"]) == 0
    theirs, *notes = blocks(capsys.readouterr().out)
    ours = fig4.cost.cells
    assert [list(ours), *ours.to_numpy().tolist()] == theirs
    assert ours["trainings"].tolist() == ["85", "365"]  # one-shot on a CPU, iterative on a GPU
    assert [*fig4.cost.notes] == notes[:-1]
    assert str(notes[-1]).startswith("shared: ")
    assert ">shared" not in page(fig4)  # always 0 for one experiment alone


@pytest.mark.long
def test_the_same_results_draw_the_same_figure(fig4: Content) -> None:
    again = gather("frankle2019_fig4", NOWHERE, NOWHERE)
    assert again.pictures == fig4.pictures


@pytest.mark.long
def test_reductions_are_stated_at_the_top() -> None:
    content = gather("frankle2019_fig5", NOWHERE, NOWHERE)
    top = page(content).partition("</header>")[0]
    assert '<p class="reduced">REDUCED (Conv-2): steps 4000 instead of 20000' in top
    assert "REDUCED: 16 of 16 trainings" in top
    assert "REDUCED" not in page(gather("frankle2019_fig3", NOWHERE, NOWHERE))


# ---- results written by hand


def test_names_and_values_are_escaped(folder: Path) -> None:
    examples.experiment(folder, "one", ['"41%: <i>above</i> dense", 2.0, "points", partial(gain, percent=41)'])
    examples.commit(folder, examples.tickets("one", ACCURACIES, model=HOSTILE, machine=HOSTILE, reduced=HOSTILE))
    content = gather("one", NOWHERE, NOWHERE)
    plain = page(content)
    files = pd.DataFrame({HOSTILE: [HOSTILE]})
    record = lab.Record(HOSTILE, lab.Part(HOSTILE, (HOSTILE,)), lab.Part("", (HOSTILE,)))
    hostile = replace(content, name=HOSTILE, record=record, compression=[(HOSTILE, [files, HOSTILE])])
    for text in (plain, page(hostile)):
        seen = Page(text)
        assert HOSTILE in "".join(seen.text.values())
        assert {tag for tag, _ in seen.elements}.isdisjoint({"script", "b", "i"})
        assert not [name for _, attributes in seen.elements for name in attributes if name.startswith("on")]


def test_a_training_that_two_rows_share_costs_once(folder: Path) -> None:
    examples.experiment(folder, "one")
    rows = examples.tickets("one", ACCURACIES, seconds=900.0)
    examples.commit(folder, pd.concat([rows, rows.head(1).assign(levels=5)], ignore_index=True))
    text = page(gather("one", NOWHERE, NOWHERE))
    assert '<td class="number">4</td><td class="number">900.0 ± 0.0</td><td class="number">1.00</td>' in text


@pytest.mark.long
def test_files_of_compressed_nets_are_a_section_and_the_given_folder_goes_first(folder: Path, tmp_path: Path) -> None:
    examples.experiment(folder, "one")
    examples.commit(folder, examples.tickets("one", ACCURACIES))
    results, own = folder / "results", tmp_path / "own"
    own.mkdir()
    net = "experiment,model,data,replicate,level,density"
    files = f"{net},format,bytes,accuracy\none,lenet,mnist,0,1,0.8,lth-5,"
    (results / "one_files.csv").write_text(f"{files}1234,0.9\n")
    committed = page(gather("one", NOWHERE, own))
    assert "compression" in sections(committed)
    assert "1234" in committed
    (own / "one_files.csv").write_text(f"{files}4321,0.9\n")
    layouts = f"{net},layout,parameters,accuracy\none,lenet,mnist,0,1,0.8,csr,7,0.123456789\n"
    (own / "one_layouts.csv").write_text(layouts)
    (own / "one_files.png").write_bytes(b"a picture")
    text = page(gather("one", NOWHERE, own))
    assert "4321" in text
    assert "1234<" not in text
    assert "0.1235" in text
    assert f"data:image/png;base64,{base64.b64encode(b'a picture').decode()}" in text
    (own / "one_files.md").write_text(
        "| format | bytes | n |\n| --- | --- | --- |\n| lth-5 | 4000 ± 12 | 3 |\n\non it\n"
    )
    told = page(gather("one", NOWHERE, own))
    assert "4000 ± 12" in told
    assert '<p class="note">on it</p>' in told
    assert "4321" not in told


# ---- the command


@pytest.mark.long
def test_a_page_of_a_store_names_the_versions_that_trained(folder: Path, tmp_path: Path) -> None:
    assert shell.run("-m", "root=here", "name=one", "branch=[reinitialize]") == 0
    examples.experiment(folder, "one")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "one.html").write_text("an older one")
    assert cli.main(["report", "one", "--runs", "here"]) == 0
    assert [file.name for file in (tmp_path / "reports").iterdir()] == ["one.html"]
    text = (tmp_path / "reports" / "one.html").read_text()
    assert "the store under here" in text
    assert text.count(f">{environment()['torch']}</td>") == 2  # the trainings', and the page's own


def record(job: str, *overrides: str, **code: Any) -> None:
    Record(Path("here"), "own", job, {"replicate": 1}, code=code, overrides=overrides).status("finished")


def test_an_experiment_of_ones_own_is_trained_by_the_sweep_that_made_its_jobs() -> None:
    for at, (steps, replicate) in enumerate([(40, 1), (60, 1), (40, 2), (60, 2)]):
        record(f"{at}", f"steps={steps}", "branch=[reinitialize,shuffle]", f"replicate={replicate}")
    command = "lth run -m name=own steps=40,60 'branch=[reinitialize,shuffle]' replicate=1,2 root=here"
    assert trained("own", Path("here")) == [(command, "what trained it")]


def test_jobs_that_are_no_grid_have_a_command_each_and_code_of_ones_own_is_told() -> None:
    record("0", "steps=40", "replicate=1")
    record("1", "steps=60", "replicate=2", sources={"mine.py": {}})
    remark = "what trained it, with code of your own (and --config-dir DIR if it had one)"
    assert trained("own", Path("here")) == [
        ("lth run name=own steps=40 replicate=1 root=here", remark),
        ("lth run name=own steps=60 replicate=2 root=here", remark),
    ]


def test_the_page_is_written_where_the_command_says(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        examples.experiment(folder, name)
    examples.commit(folder, examples.tickets("two", ACCURACIES))
    assert cli.main(["report", "all", "--runs", "nowhere", "--out", "a/folder"]) == 1
    said = capsys.readouterr()
    assert said.out == "a/folder/two.html\n"
    missing = (
        "lth report: nothing of one is stored under nowhere; "
        "lth figure one --run trains it (two trainings on an abacus)"
    )
    assert said.err.splitlines()[0] == missing
    assert [file.name for file in (tmp_path / "a" / "folder").iterdir()] == ["two.html"]


def test_without_a_name_the_experiments_are_listed_and_a_wrong_one_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["report"]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == len(registry.names())
    assert said.err == "\nlth report NAME writes one of them, lth report all writes all that come with lth\n"
    assert cli.main(["report", "nosuch"]) == 2
    assert capsys.readouterr().err.startswith("lth report: there is no experiment 'nosuch'. lth figure lists")


# ---- in a browser

CHROMIUM = shutil.which("chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--host-resolver-rules=MAP * ~NOTFOUND"]  # fmt: skip
in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium; apt-get install chromium brings it")
# The page may run a script here, to measure what only a browser knows; a frame can be as narrow as a phone, a window of
# Chromium can't.
MEASURES = """<script>addEventListener("load", () => parent.postMessage([document.documentElement.scrollWidth,
...[...document.images].map(image => image.naturalWidth)].join(" "), "*"))</script></body>"""
FRAME = """<body><script>addEventListener("message", event => document.body.dataset.measured = event.data)</script>
<iframe src="page.html" style="width: {}px; height: 900px; border: 0"></iframe></body>"""


def browse(file: Path, folder: Path, *flags: str) -> tuple[str, list[str]]:
    """Output of Chromium without a network for the page, and the addresses that the page requested."""
    profile = Path(tempfile.mkdtemp(dir=folder))
    log = profile / "net.json"
    given = [*FLAGS, f"--user-data-dir={profile / 'new'}", f"--log-net-log={log}", *flags, file.as_uri()]
    process = subprocess.run([str(CHROMIUM), *given], capture_output=True, text=True, timeout=120, check=True)
    return process.stdout, asked(json.loads(log.read_text()))


def asked(log: dict[str, Any]) -> list[str]:
    """The addresses in a log of Chromium that a page of a file asked for, not the browser on its own account."""
    parameters = [event.get("params", {}) for event in log["events"]]
    ours = [p for p in parameters if str(p.get("network_isolation_key", "")).startswith("file://")]
    return sorted({p["url"] for p in ours if str(p.get("url", "")).startswith("http")})


@pytest.mark.slow
@in_a_browser
@pytest.mark.parametrize(("width", "height"), [(1280, 1600), (390, 2600)], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", ["frankle2019_fig4", "frankle2019_fig5"])
def test_a_browser_without_network_shows_the_page(name: str, width: int, height: int, tmp_path: Path) -> None:
    assert cli.main(["report", name, "--runs", "nowhere", "--out", str(tmp_path)]) == 0
    file, shot = tmp_path / f"{name}.html", tmp_path / "shot.png"
    dom, addresses = browse(file, tmp_path, "--dump-dom")
    assert sections(dom) == sections(file.read_text())
    assert addresses == []
    browse(file, tmp_path, f"--screenshot={shot}", f"--window-size={width},{height}")
    whole = matplotlib.image.imread(io.BytesIO(shot.read_bytes()))[..., :3]
    assert whole.shape == (height, width, 3)
    # The blue of matplotlib's first line, #1f77b4, is nowhere but in the figure: it is drawn, not only named.
    blue = abs(whole - [0x1F / 255, 0x77 / 255, 0xB4 / 255]).max(axis=2) < 0.02
    assert blue.any()


@pytest.mark.slow
@in_a_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_no_wider_than_the_screen_and_its_images_load(text: str, width: int, tmp_path: Path) -> None:
    measured, frame = tmp_path / "page.html", tmp_path / "frame.html"
    measured.write_text(text.replace("img-src", "script-src 'unsafe-inline'; img-src").replace("</body>", MEASURES))
    frame.write_text(FRAME.format(width))
    dom, _ = browse(frame, tmp_path, "--dump-dom")
    (body,) = Page(dom).all("body")
    wide, image = map(int, str(body["data-measured"]).split())
    assert wide == width
    assert image > 500


@pytest.mark.slow
@in_a_browser
def test_a_request_of_a_page_would_be_seen(tmp_path: Path) -> None:
    file = tmp_path / "asks.html"
    file.write_text('<p>It has <img src="http://example.invalid/x.png">.')
    assert browse(file, tmp_path, "--dump-dom")[1] == ["http://example.invalid/x.png"]


def test_a_narrow_screen_gets_hints_that_there_is_more_beside_it() -> None:
    style = (Path(lab.__file__).parent / "style.css").read_text(encoding="utf-8")
    narrow = style.partition("@media (max-width: 44rem) {")[2].partition("\n}\n")[0]
    assert 'content: "Swipe to see the whole figure. "' in narrow
    assert "position: sticky; left: 0" in narrow
    assert "overflow-x: auto" in style.partition(".wide {")[2].partition("}")[0]
