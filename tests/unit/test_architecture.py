"""docs/architecture.md is true: its tree is the one on disk, and what it names exists."""

import importlib
import re
from functools import reduce
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
TREE = TEXT.partition("```\n")[2].partition("```")[0]
PROSE = TEXT.replace(TREE, "")
NAMES = re.findall(r"`([^`\n]+)`", PROSE)
DOTTED = sorted({name for name in NAMES if re.fullmatch(r"(headscope|app|analysis)(\.\w+)+", name)})
HOUSES = ("headscope", "app", "analysis")


def listed() -> tuple[dict[str, str], set[str]]:
    """The folders of the tree with their purpose, and its files; every purpose is said."""
    folders: dict[str, str] = {}
    files: set[str] = set()
    open_folders: list[str] = []
    for line in TREE.splitlines():
        text = line.lstrip()
        depth = (len(line) - len(text)) // 2
        folder = "".join(open_folders[:depth])
        if text.startswith("· "):
            new = {f"{folder}{name}.py" for name in text[2:].split()}
            assert not new & files, f"named twice: {new & files}"
            files |= new
            continue
        name, purpose = re.split(r"  +", text, maxsplit=1)
        assert purpose
        if name.endswith("/"):
            open_folders[depth:] = [name]
            folders[f"{folder}{name}"] = purpose
        else:
            files.add(f"{folder}{name}")
    return folders, files


def test_the_tree_lists_every_module_and_no_other() -> None:
    modules = {
        path.relative_to(ROOT).as_posix()
        for house in HOUSES
        for path in (ROOT / house).rglob("*.py")
        if path.name != "__init__.py"
    }
    _, files = listed()
    assert {file for file in files if file.startswith(HOUSES)} == modules


def test_the_tree_lists_every_folder_and_no_other() -> None:
    on_disk = {f"{house}/" for house in HOUSES} | {
        f"{path.relative_to(ROOT).as_posix()}/"
        for house in HOUSES
        for path in (ROOT / house).rglob("*")
        if path.is_dir() and any(file.suffix in (".py", ".js") for file in path.iterdir())
    }
    folders, _ = listed()
    assert {folder for folder in folders if folder.startswith(HOUSES)} == on_disk


def test_everything_else_in_the_tree_exists() -> None:
    folders, files = listed()
    for name in (*folders, *files):
        assert (ROOT / name).exists(), name
    assert "pages/" in folders and "server.py" in files


def test_the_storeys_of_the_tree_are_those_of_the_contracts() -> None:
    """The rooms of the app stand in the order in which they may import each other."""
    folders, _ = listed()
    rooms = [name[4:-1] for name in folders if re.fullmatch(r"app/\w+/", name)]
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    layers = settings.partition('containers = ["app"]')[2].partition("]")[0]
    assert rooms == [name for name in re.findall(r"\w+", layers) if name in rooms]


@pytest.mark.parametrize("name", DOTTED)
def test_a_name_that_it_mentions_exists(name: str) -> None:
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        reduce(getattr, parts[count:], module)
        return
    raise AssertionError(name)


def test_its_other_names_are_files_settings_or_commands() -> None:
    for name in set(NAMES) - set(DOTTED) - {"analysis", "make lint", "cache_folder", "redis"}:
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize(
    "document",
    [
        *("README.md", "CONTRIBUTING.md", "deploy/README.md"),
        *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")),
    ],
)
def test_files_that_a_document_names_exist(document: str) -> None:
    """A file that has moved is a dead end for a reader. Those that a recipe makes are to come."""
    text = (ROOT / document).read_text(encoding="utf-8")
    made = set(re.findall(r"the whole of `([\w/.]+)`, a new file", text, re.IGNORECASE))
    named = re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|js|toml|md))`", text)
    for name in set(named) - made:
        assert (ROOT / name).exists(), f"{document} names {name}"
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert ((ROOT / document).parent / link).exists(), f"{document} links to {link}"
    for command in re.findall(r"python -m ((?:analysis|app)[\w.]+)", text):
        importlib.import_module(command)
