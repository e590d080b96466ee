"""A model's chat template: whether it has one, and what it makes of turns, within bounds."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.errors import AnalysisError
from analysis.models.files import is_regular, read_object
from analysis.models.rendering import MOST_CHARACTERS, MOST_SECONDS

TEMPLATE = "chat_template.jinja"
# The longest that are published have a fifth of it.
MOST_TEMPLATE = 100_000
# Seconds on the clock, of which a busy machine takes most to start the process.
_WITHIN = 60.0
_TOO_LONG = f"takes more than {MOST_SECONDS} seconds"
_ROOT = Path(__file__).resolve().parents[2]
# One thread, as each would take memory for itself; and a hub is never looked for.
_ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Job:
    """Turns that a template is to render, (speaker, text) each.

    `answered` asks for what stands before an answer behind them.
    """

    turns: tuple[tuple[str, str], ...]
    answered: bool


def has_template(folder: Path) -> bool:
    """Whether the files of a folder hold a chat template."""
    if is_regular(folder / TEMPLATE):
        return True
    return bool(read_object(folder / "tokenizer_config.json").get("chat_template"))


def template_of(tokenizer: Any, name: str) -> str:
    """The template that a tokenizer renders conversations by.

    Raises:
        AnalysisError: It has none, several without a default, or one that is too long.
    """
    found = tokenizer.chat_template
    if isinstance(found, Mapping):
        found = found.get("default")
    if not isinstance(found, str) or not found:
        raise AnalysisError(
            f"{name} has no chat template, so there is no way to write a conversation for it. "
            "Choose a model that was trained on conversations, or a prompt."
        )
    if len(found) > MOST_TEMPLATE:
        raise AnalysisError(
            f"The chat template of {name} has {len(found):,} characters; at most "
            f"{MOST_TEMPLATE:,} are read. Choose another model, or a prompt."
        )
    return found


def render(
    template: str, special: Mapping[str, str], jobs: Sequence[Job], name: str
) -> list[str | AnalysisError]:
    """What a template makes of each job: its text, or why there is none.

    It runs in transformers' sandbox, in a process that ends with it and is ended when it takes
    more than its share of time or memory (`analysis.models.rendering`).

    Args:
        template: The template.
        special: Texts of special tokens by their names, such as `bos_token`.
        jobs: What to render.
        name: The model's, for sentences.

    Raises:
        AnalysisError: The process was ended, and nothing can be said of any job.
    """
    asked = {
        "template": template,
        "special": dict(special),
        "jobs": [
            {
                "turns": [{"role": who, "content": text} for who, text in job.turns],
                "answered": job.answered,
            }
            for job in jobs
        ],
    }
    found = _in_its_process(asked, name)
    return [each["text"] if "text" in each else _refusal(each, name) for each in found]


def _in_its_process(asked: Mapping[str, Any], name: str) -> list[dict[str, str]]:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "analysis.models.rendering"],
            input=json.dumps(asked),
            cwd=_ROOT,
            env={**os.environ, **_ENVIRONMENT},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=_WITHIN,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _not_rendered(name, _TOO_LONG) from error
    if done.returncode:
        ended = done.returncode in (-signal.SIGXCPU, -signal.SIGKILL)
        why = _TOO_LONG if ended else "brings down the process that renders it"
        raise _not_rendered(name, why)
    found: list[dict[str, str]] = json.loads(done.stdout)
    return found


def _refusal(found: Mapping[str, str], name: str) -> AnalysisError:
    if found["problem"] == "memory":
        return _not_rendered(name, "takes more memory than it may have")
    if found["problem"] == "length":
        return _not_rendered(name, f"writes more than {MOST_CHARACTERS:,} characters")
    if found["problem"] == "syntax":
        return AnalysisError(
            f"The chat template of {name} cannot be read. Copy {TEMPLATE} anew, or choose a prompt."
        )
    said = "".join(sign if sign.isprintable() else " " for sign in found["said"])[:160].strip()
    return AnalysisError(f"The chat template of {name} does not take this conversation: “{said}”.")


def _not_rendered(name: str, why: str) -> AnalysisError:
    return AnalysisError(f"The chat template of {name} {why}. Choose another model, or a prompt.")
