"""The recipes of CONTRIBUTING.md, followed on a copy of the repository."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_STEP = re.compile(
    r"(?P<how>at the end of|the whole of|as the last row of `(?P<table>\w+)` in)\s+"
    r"`(?P<file>[\w/.]+)`[^`]*:\n\n```python\n(?P<code>.*?)```",
    re.IGNORECASE | re.DOTALL,
)
_COMMANDS = re.compile(r"```sh\n(.*?)```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Step:
    """One change of a recipe: `code` at the end of a file, in a table of it, or as all of it."""

    file: str
    code: str
    how: str
    table: str | None

    def follow(self, folder: Path) -> None:
        """Make the change in a copy."""
        target = folder / self.file
        if self.how == "the whole of":
            target.write_text(self.code, encoding="utf-8")
            return
        text = target.read_text(encoding="utf-8")
        if self.table is None:
            text = f"{text}\n\n{self.code}"
        else:
            table = re.compile(rf"^{self.table} = [({{]\n.*?(?=^[)}}]$)", re.MULTILINE | re.DOTALL)
            assert len(table.findall(text)) == 1, f"{self.file} has no one table {self.table}"
            row = re.sub(r"^(?=.)", "    ", self.code.rstrip(), flags=re.MULTILINE)
            text = table.sub(lambda found: f"{found[0]}{row},\n", text)
        target.write_text(text, encoding="utf-8")


def _section(recipe: str) -> str:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition(f"## {recipe}\n")[2].partition("\n## ")[0]
    assert section, f"CONTRIBUTING.md has no section {recipe}"
    return section


def steps(recipe: str) -> list[Step]:
    """What a recipe says to change, in its order."""
    return [
        Step(found["file"], found["code"], found["how"].lower(), found["table"])
        for found in _STEP.finditer(_section(recipe))
    ]


def follow(recipe: str, folder: Path) -> Path:
    """A copy of the repository in which a recipe has been followed."""
    copy_repository(folder)
    for step in steps(recipe):
        step.follow(folder)
    return folder


def commands(recipe: str) -> Iterator[str]:
    """What a recipe says to run, as it stands there."""
    for block in _COMMANDS.findall(_section(recipe)):
        yield from block.strip().splitlines()


def run_tests(recipe: str, folder: Path) -> None:
    """Run, in a copy, the tests that a recipe says to run; all must pass."""
    lines = [shlex.split(line) for line in commands(recipe) if " pytest " in line]
    assert lines
    for threads, interpreter, *arguments in lines:
        assert (threads, interpreter) == ("OMP_NUM_THREADS=1", ".venv/bin/python")
        assert " passed" in python(folder, *arguments)


def copy_repository(folder: Path) -> None:
    """Everything that the app and its tests read; the models are the real ones.

    What Python has compiled goes along, but not what another process is just writing.
    """
    for name in ("analysis", "app", "headscope", "pages", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.pyc.*"))
    for name in ("streamlit_app.py", "pyproject.toml", "requirements.txt", "CHANGELOG.md"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / ".streamlit", folder / ".streamlit")
    (folder / "models").symlink_to(ROOT / "models")


def run(folder: Path, *arguments: str) -> str:
    """What a program prints in a copy; it must end well."""
    done = subprocess.run(
        arguments,
        cwd=folder,
        env={**os.environ, "HEADSCOPE_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def python(folder: Path, *arguments: str) -> str:
    """The same for Python."""
    return run(folder, sys.executable, *arguments)


def script(folder: Path, code: str) -> str:
    """The same for lines of Python, which end whatever the app still does in the background.

    A thread that torch is busy in when the interpreter ends would abort the process.
    """
    return python(folder, "-c", f"{code}\nimport os, sys\nsys.stdout.flush()\nos._exit(0)\n")
