"""House rules that can be checked on the source: imports, layers, docstrings."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import lth

PACKAGE = Path(lth.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
EXPERIMENTS = sorted((PACKAGE.parent / "experiments").rglob("*.py"))

# A docstring opens with a noun or an imperative.
OPENINGS = {"what", "of", "whether", "as", "where", "how", "which", "those", "that", "who", "when", "if"}

# From bottom to top. Imports point down or sideways, never up. Add every new file or folder of lth/ to a layer.
LAYERS = [
    {"file", "ticket", "weights", "layer", "recipe", "imp", "seed", "keywords", "halving"}
    | {"model", "data", "init", "augment", "task", "lr", "regularization"}
    | {"criterion", "schedule", "rules", "distribution", "structure", "neuron", "rewind", "branch", "stop", "updater"}
    | {"supermask", "connectivity", "transfer", "early_bird"},
    {"quantization", "engine", "store"},
    {"job", "compress", "analysis"},
    {"cli", "__main__"},
]
DOORS = {
    "pytorch_lightning": "engine",
    "lightning_fabric": "engine",
    "hydra": "cli/config",
    "omegaconf": "cli/config",
    "optuna": "cli/config/search",
    "wandb": "cli/tracking",
    "onnx": "compress/onnx",
    "onnxruntime": "compress/onnx",
    "safetensors": "store",
    "torch_pruning": "neuron/graph",
    "matplotlib": "analysis",
}


def room(file: Path) -> str:
    """Top-level part of a file: engine for `lth/engine/loop.py`, imp for `lth/imp.py`."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def nodes(file: Path) -> list[ast.AST]:
    """All nodes of the source of a file."""
    return [*ast.walk(ast.parse(file.read_text(encoding="utf-8")))]


@cache
def imported(file: Path) -> list[str]:
    """Full names of all imports of a file, at any depth."""
    froms = [node for node in nodes(file) if isinstance(node, ast.ImportFrom)]
    assert all(node.level == 0 for node in froms), f"{file}: imports must be absolute"
    names = [alias.name for node in nodes(file) if isinstance(node, ast.Import) for alias in node.names]
    return [*names, *(f"{node.module}.{alias.name}" for node in froms for alias in node.names)]


def rooms_seen(file: Path) -> set[str]:
    """Other rooms that a file imports from."""
    names = [name.split(".") for name in imported(file)]
    seen = {parts[1] for parts in names if parts[0] == "lth" and len(parts) > 1}
    return seen - {room(file), "__version__", "UserError"}


def docstrings(file: Path) -> Iterator[tuple[str, str]]:
    """Name and docstring of a module and of all classes and functions in it that have one."""
    for node in nodes(file):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if documented and (text := ast.get_docstring(node)):
            yield getattr(node, "name", "module"), text


def layer(name: str) -> int:
    found = [number for number, rooms in enumerate(LAYERS) if name in rooms]
    assert len(found) == 1, f"which layer is lth.{name} on?"
    return found[0]


def test_the_test_sees_the_package() -> None:
    assert {"ticket", "engine", "cli"} <= {room(file) for file in FILES}
    assert {"pytorch_lightning", "hydra", "wandb"} <= {name.split(".")[0] for file in FILES for name in imported(file)}


def test_imports_point_down() -> None:
    wrong = [
        f"{file.relative_to(PACKAGE)} imports {other}, which is above it"
        for file in FILES
        if file != PACKAGE / "__init__.py"
        for other in rooms_seen(file)
        if layer(other) > layer(room(file))
    ]
    assert wrong == []


def test_no_room_imports_itself_through_another() -> None:
    left = {room(file): set[str]() for file in FILES if file != PACKAGE / "__init__.py"}
    for file in FILES:
        if room(file) in left:
            left[room(file)] |= rooms_seen(file)
    while free := {name for name, others in left.items() if not others & left.keys()}:
        left = {name: others for name, others in left.items() if name not in free}
    assert not left, f"a circle of imports among {sorted(left)}"


def test_each_dependency_has_one_door() -> None:
    for package, door in DOORS.items():
        users = [file for file in FILES if package in {name.split(".")[0] for name in imported(file)}]
        assert users, f"is lth without {package}?"
        others = [file for file in users if not str(file.relative_to(PACKAGE).with_suffix("")).startswith(door)]
        assert not others, f"{package} belongs to {door}"


def test_the_package_itself_imports_nothing() -> None:
    assert imported(PACKAGE / "__init__.py") == []


def test_what_validates_a_configuration_imports_no_torch() -> None:
    parts = [
        "annotation",
        "compose",
        "conf",
        "flags",
        "keys",
        "literal",
        "main",
        "overrides",
        "rules",
        "settings",
        "signature",
        "validate",
    ]
    own = [f"rules/{part}" for part in ("__init__", "branches", "pruning", "ranges", "settings")]
    for name in ["schedule", "lr", *own, *(f"cli/config/{part}" for part in parts)]:
        assert "torch" not in {found.split(".")[0] for found in imported(PACKAGE / f"{name}.py")}, name


def test_no_pickle_is_ever_loaded() -> None:
    for file in FILES:
        assert not {"pickle", "joblib", "dill"} & {name.split(".")[0] for name in imported(file)}
        calls = [node for node in nodes(file) if isinstance(node, ast.Call)]
        assert not {"torch.load", "pd.read_pickle"} & {ast.unparse(call.func) for call in calls}
        assert "allow_pickle" not in {keyword.arg for call in calls for keyword in call.keywords}


def test_docstrings_open_with_a_noun_or_an_imperative() -> None:
    wrong = [
        f"{file.relative_to(PACKAGE.parent)}, {name}: {text.splitlines()[0]}"
        for file in [*FILES, *EXPERIMENTS]
        for name, text in docstrings(file)
        if text.split()[0].strip(",.:;").lower() in OPENINGS or re.match(r"[a-z]\w*(, \w+)*: (?!lottery)", text)
    ]
    assert wrong == [], "reword:\n" + "\n".join(wrong)


def test_there_is_no_utils() -> None:
    assert not [file for file in FILES if file.stem in {"utils", "util", "helpers", "common", "misc"}]


def test_text_is_read_and_written_as_utf_8_or_ascii_whatever_the_locale() -> None:
    for file in [*FILES, *EXPERIMENTS]:
        for call in nodes(file):
            if isinstance(call, ast.Call):
                name, given = ast.unparse(call.func), {keyword.arg for keyword in call.keywords}
                binary = any(isinstance(a, ast.Constant) and "b" in str(a.value) for a in call.args[1:2])
                text = name.endswith((".read_text", ".write_text")) or (name == "open" and not binary)
                text |= name.startswith("subprocess.") and "text" in given
                assert "encoding" in given or not text, f"{file}, line {call.lineno}: which one?"
