"""Downloading a model of the allow-list into the store; nothing here runs unless it is asked to.

    python -m analysis.models.download NAME  # such as gpt2, or pythia-14m@512: a checkpoint

What is fetched stands in the store once it is complete and not before: files are gathered in a
folder aside, their sizes and checksums compared with the hub's list, and the folder renamed. From
models whose `format` is `hf` come config.json, the tokenizer and safetensors, never a pickle; the
state dict of those whose `format` is `tl` is converted, by torch's loader for weights alone. For
gated models the hub gets the token that its own client finds on this machine (HF_TOKEN, or the file
that `hf auth login` writes); for no others, and it is neither shown nor kept.
"""

import json
import queue
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from analysis.errors import AnalysisError
from analysis.models.apart import LOOK, STANDSTILL, START_WITHIN, lines, running
from analysis.models.catalog import (
    checkpoint,
    find_model,
    finished_model,
    list_models,
    new_folder,
    published_steps,
    refresh,
    registry,
    store,
)
from analysis.models.config import ORIGIN
from analysis.models.info import ModelInfo, has_hub_token

Progress = Callable[[int, int], None]

# Seconds until the hub has said what it has: its name looked up, a connection made, a first answer.
CONNECT_WITHIN = 8.0
# The list's sizes are rounded, and a file may hold masks beside the weights.
_SIZE_FACTOR, _SIZE_MORE = 1.5, 64 * 10**6
# Bytes of the disk that stay free.
_SPARE = 256 * 2**20
_MB = 10**6
UNREACHABLE = "The model hub cannot be reached from this machine."
_STOOD_STILL = "The model hub has stopped sending. Try again."
_TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
)
_HUGGING_FACE = (
    "config.json",
    *_TOKENIZER,
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*-of-*.safetensors",
)


def download_model(name: str, progress: Progress = lambda done, total: None) -> ModelInfo:
    """Fetch a model of the allow-list that is not here, and list it.

    Args:
        name: Its name on the allow-list; with `@step` one of the checkpoints that the authors of
            a downloaded model publish.
        progress: Called with bytes done and bytes in all, several times a second; it may raise to
            cancel, which ends the transfer and leaves nothing behind.

    Raises:
        AnalysisError: Not a model that is handed out, gated without a token here, too
            large for this machine's memory or disk, or a hub that cannot be reached, refuses,
            breaks off, or sends something else than it lists. The sentence says which.
    """
    if "@" in name:
        _download_checkpoint(name, progress)
        return find_model(name)
    info = _checked(name)
    entry = registry()[name]
    progress(0, info.download_mb * _MB)
    if entry["format"] == "tl":
        _download_state_dict(info, entry, progress)
    else:
        part = {"source": info.source, "revision": info.revision, "files": _HUGGING_FACE}
        with new_folder(name) as folder:
            _fetch(info, [part], folder, progress)
    refresh()
    return find_model(name)


def addable_steps(info: ModelInfo) -> tuple[int, ...]:
    """The steps whose checkpoints its authors publish and that `download_model` can add to a model.

    Raises:
        AnalysisError: It has some, but lies in a folder that is not the app's own.
    """
    steps = published_steps(info)[:-1]
    if steps and info.folder.parent != store() / "models":
        raise AnalysisError(
            f"{finished_model(info).name} lies in a folder that is not the app's own, so nothing "
            "is added to it."
        )
    return steps


def _checked(name: str) -> ModelInfo:
    info = next((info for info in list_models() if info.name == name), None)
    if info is None or not info.source:
        raise AnalysisError("There is no model of that name to download.")
    if info.available:
        raise AnalysisError(f"{name} is here already.")
    if info.gated and not has_hub_token():
        raise AnalysisError(
            f"The hub hands out {name} only to accounts that have accepted its licence, and this "
            "machine has no token of one. Set HF_TOKEN or run `hf auth login`, or put the model's "
            "folder into the one that HEADSCOPE_MODELS names."
        )
    if not info.fits:
        raise AnalysisError(f"{name} is too large for this machine's memory.")
    return info


def _download_checkpoint(name: str, progress: Progress) -> None:
    model, _, step = name.partition("@")
    info = find_model(model)
    if step not in map(str, addable_steps(info)):
        raise AnalysisError(f"{model} has no such checkpoint to download.")
    place = checkpoint(info, int(step)).weights
    part = {"source": info.source, "revision": f"step{step}", "files": ["model.safetensors"]}
    with _scratch_folder() as folder:
        _fetch(info, [part], folder, progress)
        place.parent.mkdir(exist_ok=True)
        (folder / "model.safetensors").rename(place)
    refresh()


def _download_state_dict(info: ModelInfo, entry: Mapping[str, Any], progress: Progress) -> None:
    parts = [
        {"source": info.source, "revision": info.revision, "files": [entry["weights"]]},
        {"source": entry["tokenizer"], "revision": "main", "files": _TOKENIZER[:2]},
    ]
    with _scratch_folder() as folder:
        total = _fetch(info, parts, folder, progress)
        # A process of its own too: the memory that it takes is given back in whole.
        files = [folder / entry["weights"], folder / "tokenizer.json"]
        with running("analysis.models.convert", info.name, *map(str, files)) as process:
            assert process.stdout
            while process.poll() is None:
                progress(total, total)
                time.sleep(LOOK)
            if process.returncode:
                raise AnalysisError(_last_line(process.stdout.read()))


def _last_line(said: str) -> str:
    lines = said.strip().splitlines()
    return lines[-1] if lines else "What was downloaded could not be converted."


@contextmanager
def _scratch_folder() -> Iterator[Path]:
    models = store() / "models"
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=models, prefix=".unfinished-") as folder:
        yield Path(folder)


def _fetch(info: ModelInfo, parts: list[dict[str, Any]], folder: Path, progress: Progress) -> int:
    """Fetch files into a folder and note where they came from; bytes of all."""
    # The token itself is left to the process that uses it.
    request = {"folder": str(folder), "parts": parts, "with_token": info.gated}
    done, total = 0, info.download_mb * _MB
    within, otherwise = START_WITHIN, "The model hub's client cannot be started."
    with running("analysis.models.hub", json.dumps(request)) as process:
        said, since = lines(process), time.monotonic()
        while True:
            progress(done, total)
            if time.monotonic() - since > within:
                raise AnalysisError(otherwise)
            with suppress(queue.Empty):
                match said.get(timeout=LOOK):
                    case {"ready": True}:
                        since, within, otherwise = time.monotonic(), CONNECT_WITHIN, UNREACHABLE
                    case {"total": int(total), "commits": dict(commits)}:
                        since, within, otherwise = time.monotonic(), STANDSTILL, _STOOD_STILL
                        _require_room(info, total)
                        origin = {"source": info.source, "commit": commits[info.source]}
                        (folder / ORIGIN).write_text(json.dumps(origin), encoding="utf-8")
                    # After a break the client may begin a file anew.
                    case {"done": int(now)} if now > done:
                        since, done = time.monotonic(), min(now, total)
                    case {"refused": str(sentence)}:
                        raise AnalysisError(sentence)
                    case {"finished": True}:
                        progress(total, total)
                        return total
                    case None:
                        raise AnalysisError("The download ended before its time. Try again.")


def _require_room(info: ModelInfo, total: int) -> None:
    most = _SIZE_FACTOR * info.download_mb * _MB + _SIZE_MORE
    if total > most:
        raise AnalysisError(
            f"On the hub {info.name} has {total / _MB:,.0f} MB, where about {info.download_mb:,} "
            "are expected. It is not fetched."
        )
    need = total + _SPARE
    if info.kind == "tl":
        need += 4 * info.n_params  # converted, in float32
    free = shutil.disk_usage(store() / "models").free
    if need > free:
        raise AnalysisError(
            f"{info.name} needs {need / _MB:,.0f} MB of the disk, and {free / _MB:,.0f} are free."
        )


def main(arguments: list[str]) -> int:
    """Download one model and show how far it is."""
    if len(arguments) != 1:
        print(__doc__)
        return 2

    def show(done: int, total: int) -> None:
        print(f"\r{done / _MB:,.0f} of {total / _MB:,.0f} MB", end="", flush=True)

    try:
        info = download_model(arguments[0], show)
    except AnalysisError as refusal:
        print(f"\n{refusal}")
        return 1
    print(f"\n{info.name} is ready.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
