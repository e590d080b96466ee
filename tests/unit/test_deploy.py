"""The files of deploy/, as far as they can be checked without a container engine."""

import re
from dataclasses import fields
from pathlib import Path

import yaml
from packaging.utils import canonicalize_name

from app.config import Config, read_config

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
NOTES = (DEPLOY / "README.md").read_text(encoding="utf-8")


def instruction(name: str) -> list[str]:
    """What follows each instruction of that name, continued lines joined."""
    joined = DOCKERFILE.replace("\\\n", " ")
    return re.findall(rf"^{name} (.*)$", joined, re.MULTILINE)


def test_the_image_holds_what_the_app_needs_and_nothing_that_is_not_there() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    copied = [path for line in instruction("COPY") for path in line.split()[:-1]]
    for path in copied:
        assert (ROOT / path).exists(), path
        assert path.split("/")[0] not in ignored
    assert {"analysis", "app", "models", "pages", ".streamlit", "server.py"} <= set(copied)
    assert {"deploy/requirements.lock", "streamlit_app.py"} <= set(copied)
    assert list((ROOT / "models").glob("*/model.safetensors"))


def pins(text: str) -> dict[str, str]:
    """Package and version of each line that pins one."""
    found = re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def test_it_installs_what_is_locked_by_hashes() -> None:
    (install,) = [line for line in instruction("RUN") if "pip install" in line]
    assert "--require-hashes -r requirements.lock" in install
    assert "deploy/requirements.lock ./" in instruction("COPY")
    lock = (DEPLOY / "requirements.lock").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[\w])", lock.split("\n", 1)[1].strip())
    for entry in entries:
        assert re.match(r"[\w.-]+==\S+.*?( \\\n    --hash=sha256:[0-9a-f]{64})+$", entry), entry
    locked = pins(lock)
    assert len(locked) == len(entries)
    requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert len(pins(requirements)) == len(requirements.split())
    assert pins(requirements).items() <= locked.items()
    tested = pins((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    assert {name: tested[name] for name in locked.keys() & tested} == {
        name: locked[name] for name in locked.keys() & tested
    }


def test_its_base_is_one_image_with_the_oldest_python_that_is_allowed() -> None:
    required = re.search(r'requires-python = ">=([\d.]+)', (ROOT / "pyproject.toml").read_text())
    assert required
    (base,) = instruction("FROM")
    assert re.fullmatch(rf"python:{required[1]}-slim-bookworm@sha256:[0-9a-f]{{64}}", base)


def test_it_does_not_run_as_root() -> None:
    (user,) = instruction("USER")
    assert user != "root"
    assert [line for line in instruction("RUN") if re.search(rf"useradd .*\b{user}$", line)]
    assert DOCKERFILE.index("\nUSER") < DOCKERFILE.index("\nCMD")


def test_port_health_address_and_start_agree_everywhere() -> None:
    (port,) = instruction("EXPOSE")
    start = instruction("CMD")[-1]
    assert '"server.py"' in start
    assert f"--server.port={port}" in start
    (health,) = instruction("HEALTHCHECK")
    assert f"http://127.0.0.1:{port}/_stcore/health" in health
    front = (DEPLOY / "space.md").read_text(encoding="utf-8").split("---")[1]
    assert yaml.safe_load(front)["app_port"] == int(port)
    assert yaml.safe_load(front)["sdk"] == "docker"
    assert f"127.0.0.1:{port}" in NOTES


def test_the_image_uses_the_example_settings_which_are_valid() -> None:
    (settings,) = [line for line in instruction("ENV") if "HEADSCOPE_CONFIG=" in line]
    assert "HEADSCOPE_CONFIG=/app/public.toml" in settings
    assert "deploy/public.toml /app/public.toml" in instruction("COPY")
    config = read_config(DEPLOY / "public.toml")
    for name in config.models:
        assert (ROOT / "models" / name / "model.safetensors").exists()
    assert [line for line in instruction("RUN") if f"mkdir {config.cache_folder} " in line]
    for limit in ("max_tokens", "max_batch", "memory_mb", "computations_per_minute"):
        assert getattr(config, limit) < getattr(Config(), limit)


def test_the_notes_explain_every_setting_with_its_values() -> None:
    public = read_config(DEPLOY / "public.toml")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*)$", NOTES, re.MULTILINE))
    assert list(rows) == [field.name for field in fields(Config)]
    for name, row in rows.items():
        default, advised = (cell.strip(" `") for cell in row.split("|")[:2])
        if isinstance(getattr(Config(), name), int | bool):
            assert default == str(getattr(Config(), name)).lower()
            assert advised == str(getattr(public, name)).lower()
