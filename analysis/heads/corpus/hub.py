"""Reads the first texts of a data set of the hub: `python -m analysis.heads.corpus.hub REQUEST`.

In a process of its own, as `analysis.models.apart` says, and in a folder of its own, so that no
name is taken for files of this machine. The data set is streamed: no more is fetched than is read.
On standard output, one JSON object a line: `{"ready": true}`, `{"split": its name}`, `{"text": one
text}` again and again, and `{"finished": true}` or `{"refused": a sentence}`.
"""

import json
import os
import sys
import tempfile
from contextlib import suppress
from typing import Any

# Columns in which texts are looked for, the first that is there.
FIELDS = ("text", "content", "body", "prompt")
# Bytes of memory: a file of a data set may come in one piece.
MAX_MEMORY = 6 * 2**30
_LISTED = 5
# Bytes of one text, so that no line is endless.
_LONGEST = 2**20


class _Refused(Exception):
    """What is on the hub cannot be read; the message says why."""


def main(request: dict[str, Any]) -> None:
    """Read `characters` of the data set `name`, of its part `part` where it has several."""
    _bound_memory()
    os.chdir(tempfile.mkdtemp(prefix="headscope-dataset-"))
    import datasets
    from datasets.exceptions import DatasetNotFoundError

    datasets.disable_progress_bars()
    _say(ready=True)
    begun = False
    # None of the sentences below holds words of an error, which could hold anything.
    try:
        split, rows = _open(datasets, str(request["name"]), request.get("part") or None)
        _say(split=split)
        left = int(request["characters"])
        field = None
        for row in rows:
            begun = True
            field = field or _field(row)
            text = row.get(field)
            if not isinstance(text, str) or not text.strip():
                continue
            _say(text=text[: min(left, _LONGEST)])
            left -= len(text)
            if left <= 0:
                break
        _say(finished=True)
    except _Refused as refusal:
        _say(refused=str(refusal))
    except DatasetNotFoundError:
        _say(refused="The hub does not have this data set, or does not hand it out to everybody.")
    except MemoryError:
        _say(refused="A file of this data set takes too much memory.")
    # Every library below has errors of its own for a line that fails or a file that is broken.
    except Exception:
        _say(
            refused="The data set cannot be read further. Try again, or take another one."
            if begun
            else "The hub cannot be reached from this machine, or this data set cannot be read."
        )


def _open(datasets: Any, name: str, part: str | None) -> tuple[str, Any]:
    """The name of the split that is read, and its rows."""
    parts = datasets.get_dataset_config_names(name)
    unsaid = part is None and len(parts) > 1 and "default" not in parts
    if unsaid or (part is not None and part not in parts):
        listed = ", ".join(parts[:_LISTED]) + (" …" if len(parts) > _LISTED else "")
        raise _Refused(
            f"The parts of this data set are {listed}. Write one behind its name and a colon, such "
            f"as {name}:{parts[0]}."
        )
    splits = datasets.get_dataset_split_names(name, part)
    split = "train" if "train" in splits else splits[0]
    return split, datasets.load_dataset(name, part, split=split, streaming=True)


def _field(row: dict[str, Any]) -> str:
    for field in FIELDS:
        if isinstance(row.get(field), str):
            return field
    columns = ", ".join(list(row)[:_LISTED])
    raise _Refused(
        f"This data set has no column of texts called {', '.join(FIELDS)}; it has {columns}."
    )


def _bound_memory() -> None:
    with suppress(ImportError, ValueError, OSError):  # not everywhere
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))


def _say(**said: Any) -> None:
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
