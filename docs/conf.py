"""Sphinx configuration of the documentation: `make docs`."""

import logging
import shutil
import sys
from pathlib import Path

import lth

logging.getLogger("lth").setLevel(logging.WARNING)  # that committed results are read is meant here

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

project = "lth"
author = "the lth contributors"
release = lth.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "extension"]
html_theme = "furo"
html_title = f"lth {release}"
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
templates_path = ["_templates"]
exclude_patterns = ["_templates", "reference/module.rst"]

# Docstrings of lth are prose with `names`.
default_role = "code"
autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
nitpicky = True
# Other projects' objects are not linked, since a build needs no network; nor these, by the names of their files.
nitpick_ignore_regex = [
    ("py:.*", r"(?!lth\.).*"),
    ("py:class", r"lth\.(data\.stream\.Stream|layer\.layers\.Layers|quantization\.layer\.Quantized)"),
    ("py:class", r"lth\.store\.store\.Store"),
]

myst_enable_extensions = ["smartquotes"]
myst_heading_anchors = 4

nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE.parent / "build" / "notebooks")
nb_execution_timeout = 900
nb_merge_streams = True
nb_execution_in_temp = True
nb_execution_raise_on_error = True

# Results and notebooks become pages: Sphinx reads what is under this folder, git ignores the copies.
suppress_warnings = ["myst.header"]  # tables of results begin with their own headings
for folder in ("notebooks", "results"):
    shutil.rmtree(HERE / folder, ignore_errors=True)
shutil.copytree(HERE.parent / "notebooks", HERE / "notebooks", ignore=shutil.ignore_patterns(".*"))
(HERE / "results").mkdir()
for file in (HERE.parent / "experiments" / "results").glob("*.md"):
    page = f"---\norphan: true\n---\n\n# {file.stem}\n\n{file.read_text(encoding='utf-8')}"
    (HERE / "results" / file.name).write_text(page, encoding="utf-8")
