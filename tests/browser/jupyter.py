"""A real JupyterLab on this machine, and how a notebook in it is opened and run."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import ROOT

PATIENCE = 60_000  # ms


@contextmanager
def running_lab(own: Path, folder: Path, *paths: str, python: Path | None = None) -> Iterator[str]:
    """The address of a JupyterLab on `folder`; what it keeps is in `own`, meanwhile.

    Notebooks are run by `python`, or by the one of the tests, and import from `paths`, too.
    """
    if python is not None:
        kernel = own / "DATA" / "kernels" / "python3" / "kernel.json"
        kernel.parent.mkdir(parents=True)
        run = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        # It finds what it needs by itself: the clone would come first on this path.
        spec = {"argv": run, "display_name": "Python 3", "env": {"PYTHONPATH": ""}}
        kernel.write_text(json.dumps({**spec, "language": "python"}), encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folders = {f"JUPYTER_{name}_DIR": str(own / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
        + [f"--port={port}", "--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True"]
        # Its other kind asks a package index.
        + ["--LabApp.extension_manager=readonly"],
        cwd=folder,
        # Their kernel comes before the one that the environment of the tests has.
        env={**os.environ, **folders, "JUPYTER_PREFER_ENV_PATH": "0"}
        | {"PYTHONPATH": os.pathsep.join([str(ROOT), *paths])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with answering(process, f"http://127.0.0.1:{port}", "api") as address:
        yield address


@contextmanager
def answering(process: subprocess.Popen[bytes], address: str, path: str) -> Iterator[str]:
    """The address of a server once it answers at a path of it; ends its process."""
    try:
        until = time.monotonic() + PATIENCE / 1000
        while True:
            try:
                urllib.request.urlopen(f"{address}/{path}", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < until
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def open_notebook(page: Page, address: str, name: str) -> None:
    # A busy machine's list of kernels may come after the notebook that names one; then it is asked.
    page.add_locator_handler(
        page.locator("dialog", has_text="Select Kernel"),
        lambda dialog: dialog.locator("button.jp-mod-accept").click(),
    )
    page.goto(f"{address}/lab/workspaces/{name}/tree/{name}.ipynb?reset")
    idle = page.locator(".jp-NotebookPanel .jp-Notebook-ExecutionIndicator[data-status=idle]")
    expect(idle).to_be_attached(timeout=PATIENCE)


def run_cell(page: Page, number: int) -> Locator:
    """Run one cell, which a kernel that is only just there may leave undone."""
    cell = page.locator(".jp-Notebook .jp-Cell").nth(number)
    prompt = cell.locator(".jp-InputArea-prompt")
    until = time.monotonic() + PATIENCE / 1000
    while not re.fullmatch(r"\[\d+\]:", shown := prompt.inner_text()):
        assert time.monotonic() < until
        if shown == "[ ]:":
            cell.locator(".cm-content").click()
            page.keyboard.press("Control+Enter")
        page.wait_for_timeout(500)
    return cell
