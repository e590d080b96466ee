"""Workers that are actors of a Ray cluster: the same numbers, and a killed one's pieces again."""

import os
import signal
from contextlib import closing
from importlib.util import find_spec

import psutil
import pytest
import torch

import analysis
from analysis.head import all_heads
from app.compute.server import Server
from app.compute.workers.pieces import Job, unnamed
from app.config import Config, ConfigError

installed = find_spec("ray") is not None
LOOPBACK = ("127.0.0.1", "::1")


def listened_on() -> set[str]:
    """Addresses at which this process's children can be reached."""
    lines = [
        line
        for child in psutil.Process().children(recursive=True)
        for line in child.net_connections("inet")
    ]
    return {line.laddr.ip for line in lines if line.status == psutil.CONN_LISTEN}


@pytest.mark.skipif(not installed, reason="needs requirements-ray.txt: make cluster-tools")
def test_a_sweep_by_actors_is_that_of_this_process_also_where_one_is_killed() -> None:
    from app.compute.workers.actors import OWN, RayCluster

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model = analysis.load_model("attn-only-2l", device="cpu")
    tokens = analysis.repeated_tokens(model, length=20, batch=4, seed=3)
    heads = all_heads(model.info)
    alone = [one.value for one in analysis.ablate_each(model, tokens, heads, scored_only=True)]
    torch.set_num_threads(threads)
    try:
        server = Server(Config(workers=1, ray=OWN))
    except ConfigError as error:  # Ray gives its own parts half a minute, on any machine
        pytest.skip(str(error))
    assert server.engine
    import ray  # it reads its settings as it is imported, and the server has given it those

    # The same cluster: a process has one.
    hired = []
    hire = RayCluster(OWN, 1).hire
    server.engine._hire = lambda: hired.append(hire()) or hired[-1]  # type: ignore[attr-defined]
    found: list[float] = []
    listening: set[str] = set()
    try:
        job = Job("sweep", model.info, (unnamed(tokens), "zero", 0))
        pieces = [(head,) for head in heads]
        with closing(server.engine.map(job, pieces, lambda: None)) as results:
            for (one,) in results:
                found.append(one.value)
                if len(found) == 3:
                    listening = listened_on()
                    os.kill(hired[0].process, signal.SIGKILL)
    finally:
        server.engine.close()
        ray.shutdown()
    assert len(hired) == 2
    assert listening and all(address.removeprefix("::ffff:") in LOOPBACK for address in listening)
    assert found == pytest.approx(alone, abs=1e-6)


@pytest.mark.skipif(installed, reason="Ray is installed")
def test_without_ray_a_setting_that_names_it_ends_the_start_with_what_to_install() -> None:
    with pytest.raises(ConfigError, match=r"requirements-ray\.txt"):
        Server(Config(workers=1, ray="local"))


def test_ray_needs_workers() -> None:
    with pytest.raises(ConfigError, match="workers is 0"):
        Server(Config(ray="local"))
