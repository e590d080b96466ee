"""What importing `analysis` costs and offers."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import analysis

FOLDER = Path(analysis.__file__).parent
HEAVY = ("torch", "transformers", "transformer_lens", "streamlit")


def test_the_light_modules_import_nothing_heavy():
    """The first screen is drawn from these; torch alone would delay it by seconds."""
    code = (
        "import sys, analysis, analysis.models.catalog, analysis.definitions, analysis.errors\n"
        "import analysis.heads\n"
        "analysis.models.catalog.list_models()\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=FOLDER.parent, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("file", sorted(FOLDER.rglob("*.py")), ids=lambda file: file.stem)
def test_no_module_imports_the_user_interface(file):
    """The maths is importable from a notebook, where no Streamlit runs."""
    imported = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module.partition(".")[0])
    assert not imported & {"streamlit", "app", "pages"}


@pytest.mark.parametrize("name", analysis.__all__)
def test_every_public_name_resolves(name):
    assert getattr(analysis, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error():
    """`from analysis import head_score` has to say so, as it would for any module."""
    with pytest.raises(AttributeError, match="head_score"):
        analysis.head_score  # noqa: B018


def test_dir_lists_the_public_names():
    assert "head_scores" in dir(analysis)


def test_the_first_attention_picture_needs_neither_torch_nor_transformerlens() -> None:
    """The model's first view comes with it, so that the first screen waits for no library."""
    code = (
        "import sys\n"
        "from app.compute import shipped\n"
        "shipped.compute_first_view(shipped.first_view())\n"
        "assert not {'torch', 'transformers', 'transformer_lens'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=FOLDER.parent, check=True, timeout=120)
