"""How the site is built: ``make docs``, or ``sphinx-build -W docs build/docs``."""

import gc
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# The package, wherever it is installed; and the parsers of the commands, as the tests take them.
sys.path[:0] = [str(ROOT), str(ROOT / "docs"), str(ROOT / "tests")]

from gp_emq import __version__  # noqa: E402 - after the path to it

# Pages are kept to the end: looking through them for garbage is a fifth of the time.
gc.set_threshold(200_000, 50, 50)

project = "gp_emq"
author = "the contributors of gp_emq"
copyright = author  # noqa: A001 - Sphinx calls it so
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_argparse_cli"]
exclude_patterns = ["_build"]
# Names in docstrings may be of several things, as `bits` is; such a one is code, not a link.
suppress_warnings = ["ref.python"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
# Blocks say their language; what has none is output, or a command that takes long.
highlight_language = "none"

# Docstrings have names in single backticks: a link where the site documents them, else code.
# Straight quotes stay as they are typed; members have a page, not a place in the contents.
smartquotes = False
toc_object_entries = False

default_role = "py:obj"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "separated"
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"gp_emq {release}"
html_static_path: list[str] = []
html_copy_source = False
