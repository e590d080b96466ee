"""Fetches files from a model hub, in a process of its own: `python -m analysis.models.hub REQUEST`.

A process and not a thread: the hub's client reads once, when it is imported, whether it may reach
out, so the process that serves pages stays offline for good, and a download that hangs can be
ended. `analysis.models.download` starts this; it says what it does on standard output, one JSON
object a line: `{"ready": true}` once the client is imported, `{"total": bytes, "commits": {...}}`,
`{"done": bytes}` again and again, and at last `{"finished": true}` or `{"refused": a sentence}`.
"""

import errno
import hashlib
import json
import shutil
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

# Seconds that the hub has for an answer about a model, or about a file.
ANSWER_WITHIN = 5
# Bytes between two signs of life.
CHUNK = 2**18
SAFETENSORS = "*.safetensors"


_ASKS_FOR_ACCOUNT = "The hub asks for an account that has accepted the licence of this model."
_NOT_ACCEPTED = (
    "The account of this machine's token has not accepted the licence of this model. Do that on "
    "the hub's page of the model, and try again."
)
_UNKNOWN_TOKEN = "The hub does not accept this machine's token. Log in anew, and try again."


class _Refused(Exception):
    """What is on the hub cannot be taken; the message says why."""


def main(request: dict[str, Any]) -> None:
    """Fetch the files of a request: `folder`, and `parts` of `source`, `revision` and `files`."""
    import huggingface_hub
    from huggingface_hub import constants, errors

    # It would wait for 10 MB at a time, which on a slow line looks like a standstill.
    constants.DOWNLOAD_CHUNK_SIZE = CHUNK
    _say(ready=True)
    done = 0
    # None of the sentences below holds words of an error, which could hold the token.
    token = huggingface_hub.get_token() if request.get("with_token") else None
    try:
        plan = [file for part in request["parts"] for file in _listed(huggingface_hub, part, token)]
        commits = {file["source"]: file["revision"] for file in plan}
        _say(total=sum(file["size"] for file in plan), commits=commits)
        folder = Path(request["folder"])
        for file in plan:
            _fetch(huggingface_hub, folder, file, done, token)
            done += file["size"]
        shutil.rmtree(folder / ".cache", ignore_errors=True)  # the client's own notes
        _say(finished=True)
    except _Refused as refusal:
        _say(refused=str(refusal))
    except errors.GatedRepoError:
        _say(refused=_NOT_ACCEPTED if token else _ASKS_FOR_ACCOUNT)
    except errors.RepositoryNotFoundError:
        _say(refused="The hub does not have this model, or does not hand it out to everybody.")
    except (errors.RevisionNotFoundError, errors.RemoteEntryNotFoundError):
        _say(refused="The hub no longer has the version of this model that is asked for.")
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if token and status in (401, 403):
            _say(refused=_UNKNOWN_TOKEN)
        else:
            _say(refused=f"The hub refused with status {status}. Try again later.")
    # Every library below the client has errors of its own for a line that fails.
    except Exception as error:
        _say(refused=_broken_line(error, begun=done > 0 or _Bar.shown > 0))


def _broken_line(error: Exception, begun: bool) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "The disk is full."
    if begun:
        return "The connection to the model hub broke off. Try again."
    return "The model hub cannot be reached from this machine."


def _listed(hub: Any, part: dict[str, Any], token: str | None) -> list[dict[str, Any]]:
    """The files of a repository that are wanted, all at the one commit that it is at now."""
    source = part["source"]
    info = hub.HfApi().model_info(
        source,
        revision=part["revision"],
        timeout=ANSWER_WITHIN,
        files_metadata=True,
        token=token or False,
    )
    there = {file.rfilename: file for file in info.siblings or ()}
    names = wanted(list(there), part["files"])
    if any(there[name].size is None for name in names):
        raise _Refused("The hub does not say how large the files of this model are.")
    return [
        {
            "source": source,
            "revision": info.sha,
            "name": name,
            "size": int(there[name].size or 0),
            "sha256": there[name].lfs.sha256 if there[name].lfs else None,
        }
        for name in names
    ]


def wanted(there: list[str], patterns: list[str]) -> list[str]:
    """The files of a repository's top folder that match a pattern, weights once and in safetensors.

    Raises:
        _Refused: Without a pattern, a file by its name is missing, or weights are in pickles only.
    """
    names = [
        name
        for name in sorted(there)
        if "/" not in name and any(fnmatchcase(name, pattern) for pattern in patterns)
    ]
    if "model.safetensors" in names:
        names = [name for name in names if not fnmatchcase(name, "model?*.safetensors*")]
    if "model.safetensors" in patterns and not any(fnmatchcase(n, SAFETENSORS) for n in names):
        raise _Refused(
            "On the hub this model has its weights in pickles only, which can run code when they "
            "are read. Only safetensors are fetched."
        )
    if "config.json" in patterns and "config.json" not in names:
        raise _Refused("On the hub this model has no config.json.")
    if not names:
        raise _Refused("The hub no longer has the files of this model.")
    return names


class _Bar:
    """What the client takes for a progress bar: says how many bytes there are."""

    before = 0  # bytes of the files before
    shown = 0

    def __init__(self, *_: Any, initial: int = 0, **__: Any):
        self._here = initial

    def update(self, n: int = 1) -> None:
        """Count bytes that have come."""
        self._here += n
        _Bar.shown = _Bar.before + self._here
        _say(done=_Bar.shown)

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: Any) -> None:
        pass


def _fetch(hub: Any, folder: Path, file: dict[str, Any], before: int, token: str | None) -> None:
    _Bar.before = before
    hub.hf_hub_download(
        file["source"],
        file["name"],
        revision=file["revision"],
        local_dir=folder,
        etag_timeout=ANSWER_WITHIN,
        token=token or False,
        tqdm_class=_Bar,
    )
    got = folder / file["name"]
    if got.stat().st_size != file["size"] or (file["sha256"] and _sha256(got) != file["sha256"]):
        raise _Refused(f"What came for {file['name']} is not what the hub lists. Try again.")
    _say(done=before + file["size"])


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _say(**said: Any) -> None:
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
