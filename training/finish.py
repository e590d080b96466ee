"""From a finished run to `models/<name>/`: measure, choose checkpoints, check the bar, write."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from analysis.models.config import read_info
from analysis.models.loading import HeadModel, load_tokenizer, load_weights, native_bridge
from training.bar import Line, check
from training.card import write_card
from training.corpus import Corpus
from training.measure import measure, text_loss, write_history
from training.network import Architecture, InitialScales, Network
from training.train import checkpoint_name, held_out_rows, sampled_rows


def finish(recipe: dict, corpus: Corpus, work: Path, folder: Path) -> list[Line]:
    """Make the model folder from the run in `work`; returns the figures against the bar.

    The folder is complete even if the bar is missed, so that the card shows by how much.
    """
    progress = [json.loads(line) for line in (work / "progress.jsonl").read_text().splitlines()]
    files = [work / checkpoint_name(record["step"]) for record in progress]
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    for stale in (folder / "checkpoints").iterdir():
        stale.unlink()
    config = json.dumps(_config(recipe, corpus), indent=2)
    (folder / "config.json").write_text(config + "\n", encoding="utf-8")
    shutil.copy(work.parent / "tokenizer.json", folder)
    shutil.copy(files[-1], folder / "model.safetensors")

    info = read_info(folder)
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    model = HeadModel(info, native_bridge(info, tokenizer, "cpu"), tokenizer, fingerprint="")
    text = sampled_rows(corpus, info.n_ctx)
    history = []
    for record, file in zip(progress, files, strict=True):
        load_weights(model.bridge, file)
        measured = measure(model, text)
        history.append({key: record[key] for key in ("step", "tokens")} | measured.record())
    # What is shipped is measured on all of the held-out text, not on a sample.
    measured = replace(measured, text_loss=text_loss(model, held_out_rows(corpus, info.n_ctx)))
    history[-1] |= measured.record()
    chosen = choose(history, recipe["checkpoints"]["keep"])
    for index, (record, file) in enumerate(zip(history, files, strict=True)):
        record["checkpoint"] = f"checkpoints/{file.name}" if index in chosen else None
        if index in chosen:
            shutil.copy(file, folder / "checkpoints")
    write_history(folder, history)

    lines = check(recipe["bar"], measured)
    card = write_card(recipe, info, corpus, history, lines, progress[-1]["minutes"])
    (folder / "README.md").write_text(card, encoding="utf-8")
    return lines


def choose(history: list[dict], keep: int) -> list[int]:
    """Which `keep` records to ship: the first, the last, and evenly between by progress.

    Progress is the mean of three quantities that only rise: the best induction score so far, the
    lowest second-half loss so far, and tokens seen. So checkpoints lie dense where the induction
    heads form, and noise after that attracts none.
    """
    if keep >= len(history):
        return list(range(len(history)))
    best = np.maximum.accumulate([np.max(r["scores"]["induction"]) for r in history])
    lowest = np.minimum.accumulate([r["second_half_loss"] for r in history])
    risen = [best, -lowest, np.array([r["tokens"] for r in history], dtype=float)]
    progress = np.mean([(x - x[0]) / max(x[-1] - x[0], 1e-9) for x in risen], axis=0)
    chosen = {0, len(history) - 1}
    for goal in np.linspace(0, 1, keep)[1:-1]:
        free = [i for i in range(len(history)) if i not in chosen]
        chosen.add(min(free, key=lambda i: abs(progress[i] - goal)))
    return sorted(chosen)


def _config(recipe: dict, corpus: Corpus) -> dict:
    size = Architecture(**recipe["architecture"])
    network = Network(size, corpus.d_vocab, InitialScales(**recipe["initial"]))
    return {
        "title": recipe["title"],
        "n_layers": size.n_layers,
        "n_heads": size.n_heads,
        "d_model": size.d_model,
        "d_head": size.d_head,
        "d_mlp": size.d_mlp,
        "n_ctx": size.n_ctx,
        "d_vocab": corpus.d_vocab,
        "n_params": sum(p.numel() for p in network.parameters() if p.requires_grad),
        "normalization": "LN" if size.layer_norm else None,
    }
