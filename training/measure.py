"""What a checkpoint shows, measured through analysis/ with the definitions that the app uses.

    python -m training.measure [MODEL ...]

measures bundled models anew, all of them by default, as after a score has been added: scores in
`history.json` at the steps whose weights are kept (at the others a new score stays "not measured";
losses stay as they were noted), the mosaic's file, and the results of the first view.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from analysis.definitions import SCORE_NAMES
from analysis.heads.scores import HeadScores, head_scores
from analysis.models.catalog import BUNDLED, list_models
from analysis.models.history import has_history
from analysis.models.info import ModelInfo
from analysis.models.loading import HeadModel, load_tokenizer, load_weights, native_bridge
from analysis.runs.forward import next_token_log_probs, run
from analysis.runs.inputs import Tokens, repeated_tokens
from analysis.runs.predictions import next_token_stats

# Training draws its rows from other generators, so these sequences are new to every model.
FRESH_SEED = 2026
ROWS_AT_ONCE = 8  # 512 tokens each: logits of 64 MiB


@dataclass(frozen=True, eq=False)
class Measured:
    """Figures of one set of weights on 10 fresh sequences of S = 50 and on held-out novels.

    Losses in nats per token. `model` holds the weights that were measured only until the next
    checkpoint is loaded into it.
    """

    model: HeadModel
    tokens: Tokens
    scores: HeadScores
    first_half_loss: float
    second_half_loss: float
    text_loss: float

    def record(self) -> dict:
        """The figures as JSON, scores as [layer][head]."""
        return {
            "text_loss": round(self.text_loss, 4),
            "first_half_loss": round(self.first_half_loss, 4),
            "second_half_loss": round(self.second_half_loss, 4),
            "scores": rounded(self.scores),
        }


def rounded(scores: HeadScores) -> dict[str, list[list[float]]]:
    """Scores as JSON, [layer][head]; those that the tokens cannot show are left out."""
    return {
        name: [[round(float(score), 4) for score in layer] for layer in scores[name]]
        for name in SCORE_NAMES
        if not np.isnan(scores[name]).any()
    }


def measure(model: HeadModel, text_rows: np.ndarray) -> Measured:
    """Every figure of the model's present weights."""
    tokens = fresh_tokens(model)
    first, second = next_token_stats(model, tokens, top_k=1).half_losses(tokens)
    return Measured(
        model=model,
        tokens=tokens,
        scores=head_scores(model, tokens),
        first_half_loss=first,
        second_half_loss=second,
        text_loss=text_loss(model, text_rows),
    )


def fresh_tokens(model: HeadModel) -> Tokens:
    """The sequences that scores of a history are of."""
    return repeated_tokens(model, length=50, batch=10, seed=FRESH_SEED)


def text_loss(model: HeadModel, rows: np.ndarray) -> float:
    """Mean next-token loss over `rows` of token ids, nats; float32, unlike the training loop's."""
    losses = []
    for ids in torch.from_numpy(rows).split(ROWS_AT_ONCE):
        logits, _ = run(model, ids)
        losses.append(-next_token_log_probs(logits, ids))
    return float(torch.cat(losses).mean())


def measure_history(info: ModelInfo) -> int:
    """Score the records of a history whose weights are kept; returns how many those are."""
    file = info.folder / "history.json"
    records = json.loads(file.read_text(encoding="utf-8"))
    tokenizer = load_tokenizer(info.folder / "tokenizer.json")
    model = HeadModel(info, native_bridge(info, tokenizer, "cpu"), tokenizer, fingerprint="")
    kept = [record for record in records if record["checkpoint"]]
    for record in kept:
        load_weights(model.bridge, info.folder / record["checkpoint"])
        record["scores"] |= rounded(head_scores(model, fresh_tokens(model)))
    write_history(file.parent, records)
    return len(kept)


def write_history(folder: Path, records: Sequence[dict]) -> None:
    """The records of a training run, one a line."""
    rows = ",\n".join(json.dumps(record) for record in records)
    (folder / "history.json").write_text(f"[\n{rows}\n]\n", encoding="utf-8")


def main(names: Sequence[str]) -> int:
    """Measure what is shipped with the bundled models; 1 if a name is none of theirs."""
    # What the app ships is the app's to write, and training a model needs none of it.
    from app.compute import shipped

    bundled = {info.name: info for info in list_models() if info.folder.parent == BUNDLED}
    if unknown := [name for name in names if name not in bundled]:
        print(f"Not bundled: {', '.join(unknown)}. Choose among {', '.join(bundled)}.")
        return 1
    for name in names or bundled:
        info = bundled[name]
        if has_history(info):
            print(f"{name}: scores of {measure_history(info)} checkpoints")
        shipped.write(info)
        print(f"{name}: what its first pictures show")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
