"""A model hub on this machine: as much of its interface as a download needs, and its failures."""

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from analysis.models.catalog import BUNDLED

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKENIZER = BUNDLED / "attn-only-2l" / "tokenizer.json"


@dataclass
class FakeHub:
    """What it has, by repository or repository@revision, and how it fails."""

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    url: str = ""
    asked: list[str] = field(default_factory=list)  # the paths of all requests
    tokens: list[str | None] = field(default_factory=list)  # what each of them was authorised with
    token: str = ""  # without which nothing is handed out
    store: str = ""  # the address of another host that files are redirected to
    refusal: tuple[int, str] | None = None  # status and the hub's name of the error
    cut_after: int | None = None  # bytes of a file after which the connection ends
    wrong_size: int = 0  # by how much files are longer than they are listed
    altered: bool = False  # files come with other bytes than are listed
    silent: str = ""  # part of the paths of requests that are never answered

    def of(self, repository: str, revision: str) -> dict[str, bytes] | None:
        """The files of a repository as a revision has them."""
        found = (f"@{revision}", f"{repository}@{revision}", repository)
        return next((self.files[key] for key in found if key in self.files), None)


@contextmanager
def running_hub() -> Iterator[FakeHub]:
    """A hub that answers on a free port until the block is left."""
    hub, over = FakeHub(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append(path)
            hub.tokens.append(self.headers.get("Authorization"))
            if hub.silent and hub.silent in path:
                over.wait(30)
                return
            if hub.refusal:
                status, name = hub.refusal
                self._send(b"", status, {"X-Error-Code": name})
            elif hub.token and hub.tokens[-1] != f"Bearer {hub.token}":
                self._send(b"", 401, {"X-Error-Code": "GatedRepo"})
            elif path.startswith("/api/models/"):
                repository, _, revision = path.removeprefix("/api/models/").partition("/revision/")
                self._list(hub.of(repository, revision), revision)
            else:
                repository, _, rest = path.strip("/").partition("/resolve/")
                commit, _, name = rest.partition("/")
                self._file(hub.of(repository, commit), name)

        do_HEAD = do_GET

        def _list(self, files: dict[str, bytes] | None, revision: str) -> None:
            if files is None:
                self._send(b"", 404, {"X-Error-Code": "RepoNotFound"})
                return
            listed = [
                {
                    "rfilename": name,
                    "size": len(content) - hub.wrong_size,
                    "lfs": {
                        "sha256": hashlib.sha256(content).hexdigest(),
                        "size": len(content),
                        "pointerSize": 1,
                    },
                }
                for name, content in files.items()
            ]
            sha = COMMIT
            if revision.startswith("step"):
                # A commit of its own, which its files are then asked for by.
                sha = hashlib.sha1(revision.encode()).hexdigest()
                hub.files[f"@{sha}"] = files
            answer = {"id": "a/b", "sha": sha, "siblings": listed}
            self._send(json.dumps(answer).encode(), 200, {"Content-Type": "application/json"})

        def _file(self, files: dict[str, bytes] | None, name: str) -> None:
            content = (files or {}).get(name)
            if content is None:
                self._send(b"", 404, {"X-Error-Code": "EntryNotFound"})
                return
            etag = hashlib.sha256(content).hexdigest()
            if hub.store:
                headers = {"Location": f"{hub.store}{self.path}", "X-Linked-Etag": f'"{etag}"'}
                headers |= {"X-Linked-Size": str(len(content)), "X-Repo-Commit": COMMIT}
                self._send(b"", 302, headers)
                return
            if hub.altered:
                content = bytes(len(content))
            self._send(content, 200, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})

        def _send(self, content: bytes, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "HEAD":
                return
            if "/resolve/" in self.path and hub.cut_after is not None:
                self.wfile.write(content[: hub.cut_after])
                self.wfile.flush()
                time.sleep(0.05)
                self.close_connection = True
                return
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()


@cache
def tiny_gpt2() -> dict[str, bytes]:
    """The files of a small GPT-2 of random weights, as a hub lists them."""
    sizes = {"vocab_size": 4096, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64}
    files = _saved("gpt2", sizes, seed=0)
    return {**files, "pytorch_model.bin": b"a pickle", "onnx/model.safetensors": b"not this one"}


@cache
def tiny_pythia(seed: int) -> dict[str, bytes]:
    """The files of a small Pythia of random weights; each seed stands for a checkpoint."""
    sizes = {
        "vocab_size": 4096,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 64,
    }
    return _saved("gpt_neox", sizes, seed)


@cache
def tiny_llama() -> dict[str, bytes]:
    """The files of a small Llama whose four heads share two keys and values."""
    sizes = {
        "vocab_size": 4096,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 128,
    }
    return _saved("llama", sizes, seed=0)


def _saved(kind: str, sizes: dict[str, int], seed: int) -> dict[str, bytes]:
    with torch.random.fork_rng(), TemporaryDirectory() as made:
        torch.manual_seed(seed)
        AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **sizes)).save_pretrained(made)
        PreTrainedTokenizerFast(
            tokenizer_file=str(TOKENIZER), bos_token="<|endoftext|>"
        ).save_pretrained(made)
        return {file.name: file.read_bytes() for file in Path(made).iterdir()}
