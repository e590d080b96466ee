"""The documentation: its site builds and loads nothing from elsewhere, and what it says works."""

import os
import re
import shlex
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

import analysis
from analysis.definitions import QUANTITIES
from analysis.models.loading import HeadModel
from app.links.pages import PAGES as PAGE_INFOS
from headscope.command import main

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# What stands for a model's folder.
MODEL = str(ROOT / "models" / "attn-only-2l")
PAGES = ("five-minutes", "your-model", "workshop", "notebook", "take-along", "hosting")


def blocks(page: str, language: str) -> list[str]:
    """Code of one language on a page."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands() -> Iterator[str]:
    """Every command of the pages by task, each once."""
    lines = [line for page in PAGES for code in blocks(page, "sh") for line in code.splitlines()]
    yield from dict.fromkeys(lines)


class _Loads(HTMLParser):
    """What a page loads, and what it links to."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.loads += [str(values["src"])] if "src" in values else []
        if tag == "link":
            self.loads.append(str(values.get("href")))


def test_the_site_builds_says_every_number_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True)
    pages = list(tmp_path.glob("*.html"))
    assert {page.stem for page in pages} >= {*PAGES, "index", "numbers", "settings", "package"}
    for page in pages:
        parts = _Loads()
        parts.feed(page.read_text(encoding="utf-8"))
        assert [each for each in parts.loads if each.startswith(("http", "//"))] == []
        for each in parts.loads:
            assert page.name == "404.html" or (tmp_path / each).exists(), each
    numbers = (tmp_path / "numbers.html").read_text(encoding="utf-8")
    assert numbers.count("<h2") == len(QUANTITIES)


def test_every_page_is_listed() -> None:
    listed = (DOCS / "pages.md").read_text(encoding="utf-8")
    addresses = {
        found.partition("?")[0] for found in re.findall(r"^\| \w[^`]*`/(.*?)`", listed, re.M)
    }
    assert addresses == {page.address for page in PAGE_INFOS}


@pytest.mark.parametrize("command", list(commands()))
def test_a_command_of_the_documentation_works(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [MODEL if word == "MODEL" else word for word in shlex.split(command)]
    while re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        name, _, value = words.pop(0).partition("=")
        known = f"{(ROOT / 'Makefile').read_text()}{(ROOT / 'deploy/README.md').read_text()}"
        assert name in known + (DOCS / "models.md").read_text(encoding="utf-8")
        assert value == "0.0.0.0" or (ROOT / value).exists()
    program, *rest = words
    match program:
        case "make":
            subprocess.run(["make", "-n", *rest], cwd=ROOT, check=True, capture_output=True)
        case "pip":
            extra = re.fullmatch(r"\.(?:\[(\w+)\])?", rest[-1])
            assert rest[0] == "install"
            assert extra
            project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
            assert not extra[1] or extra[1] in project["optional-dependencies"]
        case "docker":  # there may be none here
            built = [word for word in rest if word.startswith("deploy/")]
            assert all((ROOT / path).is_file() for path in built)
        case "headscope" if not rest or rest[0] == "--model":
            _serves(rest)
        case "headscope":
            (tmp_path / "docs").symlink_to(DOCS)
            monkeypatch.chdir(tmp_path)
            assert main(rest) == 0
        case _:
            pytest.fail(f"nobody knows how to try {program}")


def _serves(arguments: list[str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = [sys.executable, "-m", "headscope", *arguments, "--no-browser", "--port", str(port)]
    process = subprocess.Popen(started, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        until = time.monotonic() + 120
        while True:
            try:
                with urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5):
                    return
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.2)
    finally:
        process.terminate()
        process.wait(20)


def test_the_code_of_the_documentation_runs() -> None:
    names: dict[str, object] = {}
    for code in blocks("notebook", "python"):
        if "SmolLM2" not in code:
            exec(compile(code, "notebook", "exec"), names)
    assert names["viewer"]
    assert str(names["tokens"])


def test_the_code_of_a_conversation_runs(
    smollm2: HeadModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = [code for code in blocks("notebook", "python") if "SmolLM2" in code]
    monkeypatch.setattr(analysis, "load_model", lambda name: smollm2)
    names: dict[str, Any] = {"analysis": analysis}
    exec(compile(code, "notebook", "exec"), names)
    assert "user" in names["tokens"].speakers


def test_no_other_page_has_code() -> None:
    assert [page for page in PAGES if blocks(page, "python")] == ["notebook"]
