"""What the command prints: models, a download, scores."""

import json
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

import analysis
from analysis.definitions import SCORES
from analysis.errors import AnalysisError
from analysis.head import all_heads
from analysis.models.catalog import BUNDLED, list_models, own_folder_problem
from analysis.models.download import download_model
from analysis.models.info import ModelInfo
from analysis.models.named import named_model
from app.text import display_text


def print_models(as_json: bool) -> int:
    """Every model that is here or on the list, with its sizes."""
    models = list_models()
    if as_json:
        print_json([_facts(info) for info in models])
        return 0
    rows = [
        (info.name, f"{info.n_layers} x {info.n_heads} heads", _where(info), info.title)
        for info in models
    ]
    _print_table(("name", "layers", "where", "title"), rows)
    if problem := own_folder_problem():
        print(display_text(problem), file=sys.stderr)
    return 0


def download(name: str) -> int:
    """Fetch a model of the list, and show how far it is.

    Raises:
        AnalysisError: As `analysis.models.download.download_model`.
    """
    with tqdm(unit="B", unit_scale=True, desc=display_text(name), disable=None) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        info = download_model(name, show)
    print(f"{info.name} is ready.")
    return 0


def print_scores(model: str, prompt: str | None, only: str | None, as_json: bool) -> int:
    """The scores of every head on a prompt, or on the course's repeated tokens.

    Raises:
        AnalysisError: No such model or score, or a prompt that the model does not take.
    """
    if only is not None and only not in SCORES:
        raise AnalysisError(f"There is no score {only!r}; there are {', '.join(SCORES)}.")
    info = named_model(model)
    print(f"Loading {display_text(info.title)}…", file=sys.stderr, flush=True)
    loaded = analysis.load_model(info.name)
    if prompt is None:
        tokens = analysis.repeated_tokens(loaded, min(50, (loaded.n_ctx - 1) // 2))
    else:
        tokens = analysis.tokenize(loaded, prompt, prepend_bos=loaded.info.has_bos)
    scores = analysis.head_scores(loaded, tokens)
    names = [name for name in SCORES if only in (None, name)]
    if as_json:
        print_json(
            {
                "model": info.name,
                "input": {"repeated": tokens.half_length, "sequences": tokens.batch}
                if prompt is None
                else {"prompt": prompt},
                "scores": {
                    name: {
                        "formula": SCORES[name].formula,
                        "unit": SCORES[name].unit,
                        "chance": _plain(np.float64(scores.chance[name])),
                        "values": _plain(scores[name]),
                        "spread": _plain(scores.spread[name]),
                    }
                    for name in names
                },
            }
        )
        return 0
    rows = [
        (head.label, *(_short(scores[name][head.layer, head.head]) for name in names))
        for head in all_heads(info)
    ]
    _print_table(("head", *names), [*rows, ("chance", *(_short(scores.chance[n]) for n in names))])
    return 0


def _facts(info: ModelInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "title": info.title,
        "layers": info.n_layers,
        "heads": info.n_heads,
        "available": info.available,
        "where": _where(info),
    }


def _where(info: ModelInfo) -> str:
    if info.problem:
        return info.problem
    if info.available:
        return "bundled" if info.folder.parent == BUNDLED else "here"
    return f"to download, {info.download_mb:,} MB"


def _short(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


def _plain(values: np.ndarray | np.floating[Any]) -> Any:
    """Numbers as JSON has them: what was not measured is null."""
    known = np.round(values.astype(np.float64), 6).astype(object)
    return np.where(np.isnan(values), np.array(None), known).tolist()


def print_json(value: Any) -> None:
    """A value as JSON, on standard output."""
    # ASCII alone: what a folder is called could mean something to a terminal.
    print(json.dumps(value, ensure_ascii=True, allow_nan=False, indent=1))


def _print_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    shown = [names, *([display_text(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in shown) for column in range(len(names))]
    for row in shown:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
