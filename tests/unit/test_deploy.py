"""The files of deploy/, as far as they can be checked without a container engine."""

import os
import re
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest
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
    (lock,) = instruction("ARG")
    copied = [path.replace("${LOCK}", lock.removeprefix("LOCK=")) for path in copied]
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


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("requirements.lock", ["requirements-cluster.txt"]),
        ("requirements-ray.lock", ["requirements-cluster.txt", "requirements-ray.txt"]),
    ],
)
def test_it_installs_what_is_locked_by_hashes(name: str, beside: list[str]) -> None:
    (install,) = [line for line in instruction("RUN") if "pip install" in line]
    assert "--require-hashes -r ${LOCK}" in install
    assert "deploy/${LOCK} ./" in instruction("COPY")
    lock = (DEPLOY / name).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[\w])", lock.split("\n", 1)[1].strip())
    for entry in entries:
        assert re.match(r"[\w.-]+==\S+.*?( \\\n    --hash=sha256:[0-9a-f]{64})+$", entry), entry
    locked = pins(lock)
    assert len(locked) == len(entries)
    requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert len(pins(requirements)) == len(requirements.split())
    for file in beside:
        more = (ROOT / file).read_text(encoding="utf-8")
        assert pins(more)
        requirements += more
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


def test_containers_and_clusters_run_what_the_notes_say() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yml").read_text(encoding="utf-8"))["services"]
    (port,) = instruction("EXPOSE")
    assert compose["app"]["environment"]["HEADSCOPE_REDIS"] == "redis://redis:6379/0"
    assert "ports" not in compose["redis"] and "ports" not in compose["app"]
    for volume in compose["proxy"]["volumes"]:
        assert (DEPLOY / volume.split(":")[0]).exists()
    servers = (DEPLOY / "compose-replicas.cfg").read_text(encoding="utf-8")
    assert f"app:{port} " in servers
    parts = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")))
    by_name = {(part["kind"], part["metadata"]["name"]): part for part in parts}
    app = by_name["Deployment", "headscope"]["spec"]["template"]["spec"]["containers"][0]
    assert app["ports"][0]["containerPort"] == int(port)
    assert app["readinessProbe"]["httpGet"]["path"] == "/_stcore/health"
    # Only the processes reach Redis, and only the proxy the processes.
    for name in ("headscope", "headscope-redis"):
        assert by_name["NetworkPolicy", name]["spec"]["policyTypes"] == ["Ingress"]
    cookies = re.findall(r"cookie (headscope_replica) ", servers)
    cookies += re.findall(r"cookie (\w+) ", (DEPLOY / "haproxy.cfg").read_text(encoding="utf-8"))
    cookies.append(
        by_name["Ingress", "headscope"]["metadata"]["annotations"][
            "nginx.ingress.kubernetes.io/session-cookie-name"
        ]
    )
    assert set(cookies) == {"headscope_replica"}


def test_models_on_kuberay_are_reached_by_the_processes_and_by_nobody_else() -> None:
    cluster, policy = yaml.safe_load_all((DEPLOY / "kuberay.yaml").read_text(encoding="utf-8"))
    patch = yaml.safe_load((DEPLOY / "kuberay-replicas.yaml").read_text(encoding="utf-8"))
    parts = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")))
    spec = cluster["spec"]
    assert spec["rayVersion"] == pins((ROOT / "requirements-ray.txt").read_text())["ray"]
    (workers,) = spec["workerGroupSpecs"]
    groups = [spec["headGroupSpec"], workers]
    assert [group["rayStartParams"]["num-cpus"] for group in groups] == ["0", "1"]
    (app,) = patch["spec"]["template"]["spec"]["containers"]
    deployed = parts[0]["spec"]["template"]["spec"]["containers"][0]
    assert app["name"] == deployed["name"]
    container = [group["template"]["spec"]["containers"][0] for group in groups]
    env = {each["name"]: each.get("value", each.get("valueFrom")) for each in app["env"]}
    assert int(env["HEADSCOPE_WORKERS"]) == workers["replicas"]
    for each in container:
        same = {one["name"]: one.get("value", one.get("valueFrom")) for one in each["env"]}
        assert same.items() <= env.items()
        assert same["RAY_AUTH_MODE"] == "token"
        assert each["image"] == app["image"]
    (command,) = (word for word in app["command"] if "ray start" in word)
    assert f"--address={cluster['metadata']['name']}-head-svc:" in command
    assert command.endswith(instruction("CMD")[0].replace('", "', " ").strip('[]"'))
    inside = policy["spec"]["podSelector"]["matchExpressions"]
    assert policy["spec"]["ingress"] == [{"from": [{"podSelector": {"matchExpressions": inside}}]}]
    labels = {group["template"]["metadata"]["labels"]["app"] for group in groups}
    labels.add(parts[0]["spec"]["template"]["metadata"]["labels"]["app"])
    assert set(inside[0]["values"]) == labels


@pytest.mark.skipif(not shutil.which("haproxy"), reason="needs haproxy: make cluster-tools")
def test_haproxy_takes_its_settings() -> None:
    files = [DEPLOY / "haproxy.cfg", DEPLOY / "compose-replicas.cfg"]
    command = ["haproxy", "-c", *(word for file in files for word in ("-f", str(file)))]
    bind = {"HEADSCOPE_BIND": "127.0.0.1:8501"}
    subprocess.run(command, env={**os.environ, **bind}, check=True, timeout=60)
