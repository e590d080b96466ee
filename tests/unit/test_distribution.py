"""The package as it is built and installed: what it holds, and that it works by itself."""

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import time
import tomllib
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MOST = 60_000_000  # bytes
# Seconds until a server answers on a busy machine.
PATIENCE = 120.0


def build(source: Path, target: Path) -> tuple[Path, Path]:
    """The wheel and the sdist of a folder, as a frontend has them built."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", target],
        cwd=source,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
        check=True,
        capture_output=True,
    )
    return next(target.glob("*.whl")), next(target.glob("*.tar.gz"))


def install(wheel: Path, folder: Path) -> Path:
    """The `bin` of a new environment with a wheel; its other packages are those of the tests."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    there = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "others.pth").write_text("\n".join(there), encoding="utf-8")
    # The tests' environment may have one of its own, which stays.
    pip(folder / "bin", "install", "--no-deps", "--no-index", "--ignore-installed", str(wheel))
    return folder / "bin"


def pip(installed: Path, *arguments: str) -> None:
    """Have the pip of the tests do something in an environment that has none."""
    python = str(installed / "python")
    command = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    subprocess.run([*command, "--quiet", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build(ROOT, tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def built_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the extra that brings the checkpoints."""
    folder = tmp_path_factory.mktemp("checkpoints")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT / "deploy/checkpoints", check=True, capture_output=True)
    (wheel,) = folder.glob("headscope_checkpoints-*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a new environment with the wheel; its other packages are those of the tests."""
    return install(built[0], tmp_path_factory.mktemp("away") / "venv")


def ask(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command in a folder that has nothing of ours."""
    environment = {key: text for key, text in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [installed / "headscope", *arguments],
        cwd=installed.parents[1],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_same_source_gives_the_same_bytes_also_from_its_own_sdist(
    built: tuple[Path, Path], tmp_path: Path
) -> None:
    """Whoever builds it can check what is handed out; and the sdist lacks nothing."""
    wheel, sdist = built
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    again = build(source, tmp_path / "again")
    assert [digest(file) for file in again] == [digest(wheel), digest(sdist)]


def test_the_wheel_holds_the_app_below_its_own_name_and_nothing_beside(
    built: tuple[Path, Path],
) -> None:
    wheel, _ = built
    assert wheel.stat().st_size <= MOST
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {
        "headscope",
        f"headscope-{wheel.name.split('-')[1]}.dist-info",
    }
    inside = {name.removeprefix("headscope/_app/") for name in names if "/_app/" in name}
    tracked = subprocess.run(
        ["git", "ls-files", "analysis", "app", "pages", "models", ".streamlit"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    ).stdout.split()
    wanted = {name for name in tracked if "/checkpoints/" not in name}
    # A copy of the code that is no repository has nothing to compare with.
    assert not wanted or wanted | {"server.py", "streamlit_app.py"} == inside
    assert "models/attn-only-2l/model.safetensors" in inside


def test_the_checkpoints_are_a_wheel_of_their_own_that_puts_them_where_the_app_looks(
    built_checkpoints: Path,
) -> None:
    with zipfile.ZipFile(built_checkpoints) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    there = ROOT.glob("models/*/checkpoints/*.safetensors")
    assert names == {f"headscope/_app/{file.relative_to(ROOT)}" for file in there}
    (extra,) = map(Requirement, PROJECT["optional-dependencies"]["checkpoints"])
    assert extra.name == built_checkpoints.name.split("-")[0].replace("_", "-")


def test_its_metadata_names_pythons_and_needs_what_the_tests_run_with(
    built: tuple[Path, Path],
) -> None:
    with zipfile.ZipFile(built[0]) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        said = message_from_bytes(archive.read(name))
    assert said["Requires-Python"] == "<3.14,>=3.11"
    pythons = re.findall(r"Python :: (3\.\d+)", " ".join(said.get_all("Classifier", [])))
    assert pythons == ["3.11", "3.12", "3.13"]
    pinned = [
        Requirement(line)
        for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").split()
    ]
    needed = {each.name: each for each in map(Requirement, PROJECT["dependencies"])}
    assert {each.name for each in pinned} == set(needed)
    for each in pinned:
        (pin,) = each.specifier
        assert needed[each.name].specifier.contains(pin.version), each.name
    (widget,) = map(Requirement, PROJECT["optional-dependencies"]["notebook"])
    assert widget.specifier.contains(version("anywidget"))


def test_installed_it_lists_and_scores_the_bundled_model(installed: Path) -> None:
    listed = ask(installed, "models", "--json")
    assert listed.returncode == 0, listed.stderr
    models = {each["name"]: each for each in json.loads(listed.stdout)}
    assert models["attn-only-2l"]["where"] == "bundled"
    scored = ask(installed, "score", "attn-only-2l", "--score", "induction", "--json")
    assert scored.returncode == 0, scored.stderr
    values = json.loads(scored.stdout)["scores"]["induction"]["values"]
    assert_as_the_card_says(values, 12436)


def assert_as_the_card_says(values: list[list[float]], step: int) -> None:
    """The best induction head at a step of training is the one of the model's card."""
    card = (ROOT / "models/attn-only-2l/README.md").read_text(encoding="utf-8")
    row = next(line for line in card.splitlines() if f"checkpoints/step-{step:06}" in line)
    layer, head, best = re.findall(r"L(\d)H(\d) (\d\.\d+)", row)[-1]
    assert values[int(layer)][int(head)] == max(map(max, values))
    # It was measured on more and other random tokens.
    assert abs(max(map(max, values)) - float(best)) < 0.05


def test_both_wheels_share_a_folder_and_each_can_be_taken_away(
    installed: Path, built_checkpoints: Path
) -> None:
    """The checkpoints lie among the files of the app's wheel, beside the models."""
    asked = ("score", "attn-only-2l@1693", "--score", "induction", "--json")
    without = ask(installed, *asked)
    assert without.returncode == 1 and "no model of that name" in without.stderr
    pip(installed, "install", "--no-deps", "--no-index", str(built_checkpoints))
    try:
        scored = ask(installed, *asked)
        assert scored.returncode == 0, scored.stderr
        assert_as_the_card_says(json.loads(scored.stdout)["scores"]["induction"]["values"], 1693)
    finally:
        pip(installed, "uninstall", "--yes", "headscope-checkpoints")
    assert ask(installed, *asked).stderr == without.stderr


def test_installed_it_checks_a_finding(installed: Path) -> None:
    checked = ask(installed, "check", str(ROOT / "docs/example-finding.json"))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "  holds " in checked.stdout


def test_installed_it_hides_no_module_of_ones_own(installed: Path) -> None:
    """`import app` in a person's project finds theirs, or nothing."""
    code = (
        "import sys, importlib.util, headscope\n"
        "heavy = {'torch', 'streamlit', 'numpy', 'transformers'} & set(sys.modules)\n"
        "viewer = headscope.show([[1.0, 0.0], [0.5, 0.5]], ['a', 'b'])\n"
        "assert viewer.focus.label == 'L0H0' and viewer.styles and viewer.still_html()\n"
        "found = [n for n in ('app', 'analysis', 'pages') if importlib.util.find_spec(n)]\n"
        "print(headscope.__file__, sorted(heavy), found)"
    )
    done = subprocess.run(
        [installed / "python", "-I", "-c", code], capture_output=True, text=True, check=True
    )
    file, said = done.stdout.strip().split(" ", 1)
    assert Path(file).is_relative_to(installed.parent)
    assert said == "[] []"


def test_installed_it_exports_a_figure_without_a_screen(installed: Path, tmp_path: Path) -> None:
    """The file that the page's own button gives, of the view that was asked for."""
    view = "attention?layer=1&head=4&input=prompt&prompt=one+two+one"
    file = tmp_path / "pattern.csv"
    done = ask(installed, "export", view, "--csv", "--figure", "L1H4 pattern", "-o", str(file))
    assert done.returncode == 0, done.stderr
    header, first, *rest = file.read_text(encoding="utf-8-sig").splitlines()
    assert header == "head,destination (query),source (key),attention"
    assert first == "L1H4,0 <|endoftext|>,0 <|endoftext|>,1.0"
    assert "ScriptRunContext" not in done.stderr and rest
    beyond = ask(installed, "export", "attention?layer=77", "--csv")
    assert beyond.returncode == 1 and not beyond.stdout
    assert beyond.stderr.count("\n") == 1 and "has no layer 77" in beyond.stderr


@contextmanager
def serving(installed: Path, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The installed app on a free port: its address, and the process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen(
        [installed / "headscope", *arguments, "--no-browser", "--port", str(port)],
        cwd=installed.parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.terminate()


def test_installed_it_serves_the_bundled_model(installed: Path) -> None:
    with serving(installed, "--prompt", "one two") as (address, process):
        until = time.monotonic() + PATIENCE
        while True:
            try:
                with urllib.request.urlopen(f"{address}/_stcore/health", timeout=5) as answer:
                    assert answer.read() == b"ok"
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < until
                time.sleep(0.1)
        with urllib.request.urlopen(f"{address}/attention", timeout=30) as page:
            assert b"Headscope" in page.read()
        assert process.stdout
        said = next(line for line in process.stdout if line.startswith("Headscope: "))
        shown = said.removeprefix("Headscope: ").strip()
        assert shown == f"{address}/attention?prompt=one+two"
        taken = ask(installed, "--no-browser", "--port", address.rpartition(":")[2])
        assert taken.returncode == 1 and "--port" in taken.stderr
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
