"""Who may import whom: the contracts of pyproject.toml hold, and each is seen to fail."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT_IMPORTS = Path(sys.executable).parent / "lint-imports"
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
CONTRACTS = {each["id"]: each for each in SETTINGS["importlinter"]["contracts"]}
TYPES_ONLY = """from typing import TYPE_CHECKING
if TYPE_CHECKING:
    """

# For each contract, lines that break it, and the module that each is added to.
FORBIDDEN = [
    ("houses", "analysis/errors.py", "from app.text import display_token"),
    ("houses", "app/shell/share.py", "import pages.tokens"),
    ("houses", "app/text.py", "from headscope.place import ROOT"),
    ("storeys", "app/theme.py", "from app.figures.base import finish"),
    ("storeys", "app/figures/lens.py", "from app.links.parsers import Value"),
    ("storeys", "app/figures/lens.py", "from app.components.chips import chips"),
    ("storeys", "app/links/link.py", "from app.compute.ask import ask"),
    ("storeys", "app/compute/memory.py", "from app.shell.visitors import visitor_name"),
    ("storeys", "app/shell/share.py", "from app.pickers.score import choose_score"),
    ("storeys", "app/pickers/score.py", "from app.frame.frame import part"),
    ("storeys", "app/frame/layout.py", "from app.sections.mosaic import draw_models"),
    ("storeys", "app/notebook/show.py", "from app.sections.mosaic import draw_models"),
    (
        "storeys",
        "app/figures/lens.py",
        f"{TYPES_ONLY}from app.links.parsers import Value",
    ),
    ("sections", "app/sections/induction.py", "from app.sections.mosaic import draw_models"),
    ("sections", "app/sections/patching/paths.py", "from app.sections.ablation import sweep"),
    ("sections", "app/sections/shared/pair.py", "from app.sections.head import weights"),
    ("entry", "app/shell/page.py", "import streamlit_app"),
    ("entry", "app/compute/ask.py", "from server import app"),
    ("streamlit", "app/compute/sweeps.py", "import streamlit as st"),
    ("streamlit", "app/figures/base.py", "from streamlit.delta_generator import DeltaGenerator"),
    ("streamlit", "app/links/link.py", "import streamlit"),
    ("streamlit", "app/compute/sweeps.py", "from app.components import progress"),
    ("streamlit", "analysis/head.py", "import streamlit"),
    ("analysis", "analysis/head.py", "from analysis.models.info import ModelInfo"),
    ("analysis", "analysis/models/info.py", "from analysis.runs import inputs"),
    ("analysis", "analysis/runs/inputs.py", "from analysis.heads import scores"),
    ("analysis", "analysis/heads/scores.py", "from analysis.circuits import weights"),
    ("analysis", "analysis/circuits/weights.py", "from analysis.effects import ablation"),
    ("analysis", "analysis/logits/lens.py", "from analysis.effects import ablation"),
    ("analysis", "analysis/neurons.py", "import analysis.course"),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code alone, with the contracts."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("headscope", "analysis", "app", "pages"):
        for file in (ROOT / name).rglob("*.py"):
            target = folder / file.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def broken(folder: Path) -> set[str]:
    """The contracts that the code in a folder breaks."""
    done = subprocess.run(
        [LINT_IMPORTS, "--cache-dir", folder / "cache", "--no-logo"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = {
        id_ for id_, contract in CONTRACTS.items() if f"{contract['name']} BROKEN" in done.stdout
    }
    kept = sum(f"{contract['name']} KEPT" in done.stdout for contract in CONTRACTS.values())
    assert len(found) + kept == len(CONTRACTS), done.stdout + done.stderr
    assert bool(done.returncode) == bool(found)
    return found


def test_every_contract_holds(copy: Path) -> None:
    assert broken(copy) == set()


def test_every_contract_is_seen_to_fail() -> None:
    assert {id_ for id_, *_ in FORBIDDEN} == CONTRACTS.keys()


@pytest.mark.parametrize(("id_", "file", "line"), FORBIDDEN)
def test_a_forbidden_import_is_found(copy: Path, id_: str, file: str, line: str) -> None:
    target = copy / file
    before = target.read_text(encoding="utf-8")
    target.write_text(f"{before}\n{line}\n", encoding="utf-8")
    try:
        assert id_ in broken(copy)
    finally:
        target.write_text(before, encoding="utf-8")


@pytest.mark.parametrize(
    ("id_", "file"), [("storeys", "app/extra.py"), ("analysis", "analysis/extra.py")]
)
def test_a_module_that_stands_on_no_storey_is_found(copy: Path, id_: str, file: str) -> None:
    target = copy / file
    target.write_text("", encoding="utf-8")
    try:
        assert id_ in broken(copy)
    finally:
        target.unlink()


def test_ruff_and_the_contract_agree_on_who_may_know_streamlit() -> None:
    """Ruff says it while one types, the contract sees what is imported by way of others."""
    allowed = {
        pattern.removesuffix("/*").removesuffix(".py").replace("/", ".")
        for pattern, codes in SETTINGS["ruff"]["lint"]["per-file-ignores"].items()
        if "TID251" in codes and pattern.startswith("app/")
    }
    contract = CONTRACTS["streamlit"]
    excepted = {line.partition(" -> ")[0] for line in contract["ignore_imports"]}
    rooms = {
        f"app.{path.stem}"
        for path in (ROOT / "app").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    } - {"app.__init__"}
    without = {name for name in contract["source_modules"] if name.startswith("app.")}
    assert without | (allowed - excepted) == rooms
    assert not without & allowed
    assert excepted <= allowed


def test_make_lint_checks_the_contracts() -> None:
    rule = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nlint:")[2]
    assert "lint-imports" in rule.partition("\n\n")[0]
