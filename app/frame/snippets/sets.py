"""The parts of snippets over a set of prompts, whose rows may be of any length."""

from __future__ import annotations

from textwrap import indent
from typing import TYPE_CHECKING

from analysis.sets.spread import tail

if TYPE_CHECKING:
    from app.links.subject import Subject

# Prompts of one length; `ANSWERS` and `FOILS` are ids of tokens.
SET = """
rows = [tokenizer.encode(text, add_special_tokens=False) for text in PROMPTS]
tokens = torch.tensor([[tokenizer.bos_token_id] * PREPEND_BOS + ids for ids in rows])
scored = slice(None)  # predictions that a loss is averaged over: entry i is of token i+1
"""

DIFFERENCE = """
def difference(ids, hooks=()):  # mean logit difference of answer and foil after each prompt
    logits = model.run_with_hooks(ids, fwd_hooks=list(hooks))[:, -1]
    each = torch.arange(len(ids))
    return (logits[each, ANSWERS] - logits[each, FOILS]).mean()
"""

# F of circuits. `CIRCUITS` lists each as its heads, (layer, head).
CIRCUIT = """
all_heads = [(layer, head) for layer in range(n_layers) for head in range(n_heads)]
every = all_heads


def less(circuit, heads):
    return [head for head in circuit if head not in heads]


def one_less(circuit):  # without each of its heads
    return [less(circuit, [head]) for head in circuit]


def with_only(circuit):  # F: all other heads replaced
    return difference(tokens, ablated(less(every, circuit)))
"""
# The same where edges are chosen: heads beside (writer, reader) of each, or beside None for all.
WIRED_CIRCUIT = """
all_heads = [(layer, head) for layer in range(n_layers) for head in range(n_heads)]
every = all_heads, None


def less(circuit, heads):
    return [head for head in circuit[0] if head not in heads], circuit[1]


def one_less(circuit):  # without each of its heads, and then without each chosen edge
    heads, edges = circuit
    without = [(heads, [other for other in edges or () if other != edge]) for edge in edges or ()]
    return [*(less(circuit, [head]) for head in heads), *without]


def cut(z, layer):  # what an edge that is cut carries
    return replacement(z, layer)


def with_only(circuit):  # F: all other heads replaced, and all edges but the chosen ones
    heads, edges = circuit
    out = [head for head in all_heads if head not in heads]
    return difference(tokens, ablated(out) if edges is None else cut_hooks(edges, out))
"""

# By what the rows of a set have, what is measured after each of some rows of one length.
_METRICS = {
    "logit_diff": """
def metric(ids, hooks=()):  # logit difference of answer and foil, [row]
    logits = model.run_with_hooks(ids, fwd_hooks=list(hooks))[:, -1]
    each = torch.arange(len(ids))
    return logits[each, answers] - logits[each, foils]
""",
    "log_prob": """
def metric(ids, hooks=()):  # log-probability of the answer, [row]
    logits = model.run_with_hooks(ids, fwd_hooks=list(hooks))[:, -1]
    return logits.log_softmax(-1)[torch.arange(len(ids)), answers]
""",
    "loss": """
def metric(ids, hooks=()):  # nats per token, [row]
    log_probs = model.run_with_hooks(ids, fwd_hooks=list(hooks)).log_softmax(-1)
    return -log_probs[:, :-1].gather(-1, ids[:, 1:, None])[..., 0].mean(-1)
""",
}

# The direction that gives the answer's logit, less the foil's, from what is written at the end.
_TOWARDS = "direction = model.W_U.T[answers]  # [row, d_model]"
_AND_FROM = "direction = direction - model.W_U.T[foils]"
_NORMED = {
    None: "",
    "RMS": """
direction = direction * gain(model.ln_final)
direction = direction / cache["ln_final.hook_scale"][:, -1]
""",
    "LN": """
direction = direction * gain(model.ln_final)
direction = direction - direction.mean(-1, keepdim=True)
direction = direction / cache["ln_final.hook_scale"][:, -1]
""",
}

_ROWS = """
rows = [tokenizer.encode(text, add_special_tokens=False) for text in PROMPTS]
rows = [[tokenizer.bos_token_id] * PREPEND_BOS + ids for ids in rows]


def measured(tokens, which):  # of some rows, which are run together: [row, layer, head]
{body}
    return result


by_row = torch.empty(len(rows), n_layers, n_heads)
for which in TOGETHER:
    by_row[which] = measured(torch.tensor([rows[row] for row in which]), which).float()
"""
_SPREAD = """
def spread(values):  # mean over rows, and a bootstrap 95 % interval, whose tails are TAIL each
    values = values.double().numpy()
    n = len(values)
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), 2000) / n
    resampled = drawn @ values.reshape(n, -1)
    low, high = np.quantile(resampled, (TAIL, 1 - TAIL), axis=0)
    shape = values.shape[1:]
    return torch.from_numpy(np.stack([values.mean(0), low.reshape(shape), high.reshape(shape)]))
"""

# What a figure shows of the numbers by row: their means, means with intervals, the rows of one
# head, or the differences of two sides on the same rows.
KINDS = ("mean", "interval", "each", "paired")
AXES = {
    "mean": ("layer", "head"),
    "interval": ("of", "layer", "head"),
    "each": ("row", "layer", "head"),
    "paired": (),
}


def metric(subject: Subject) -> str:
    """The set's own metric, as `analysis.sets.metrics.default_metric` chooses it."""
    prompts = subject.prompts
    if prompts is None or not prompts.has_answers:
        return _METRICS["loss"]
    chosen = "logit_diff" if prompts.has_foils else "log_prob"
    return _METRICS[chosen]


def answer_direction(subject: Subject) -> str:
    """The part that attribution of the answer needs."""
    from_foil = _AND_FROM if subject.prompts is not None and subject.prompts.has_foils else ""
    return "\n".join([_TOWARDS, from_foil, _NORMED[subject.selection.info.normalization]])


def by_row(body: str) -> str:
    """Code of rows that are run together, for all rows of a set."""
    ids = [
        f"{name} = torch.tensor({name.upper()})[which]"
        for name in ("answers", "foils")
        if name in body
    ]
    return _ROWS.format(body=indent("\n".join([*ids, body]), "    "))


def shown(kind: str, subject: Subject) -> str:
    """From `by_row`, or `first` and `second`, what a figure of this kind shows."""
    with_interval = subject.prompts is not None and len(subject.prompts.rows) > 1
    if kind == "paired":
        less = "result = torch.stack([first, second, first - second])  # by row"
        if not with_interval:
            return less
        return f"{less}\nprint(result)\n{_SPREAD}\n\nresult = spread(first - second)"
    if kind == "interval" and with_interval:
        return f"{_SPREAD}\n\nresult = spread(by_row)  # [mean and interval, layer, head]"
    if kind == "interval":
        return "result = by_row.mean(0, keepdim=True)"
    return "result = by_row.mean(0)" if kind == "mean" else "result = by_row"


def together(subject: Subject) -> list[list[int]]:
    """Which rows run together: one by one for scores, which are means over what is run."""
    prompts = subject.prompts
    assert prompts is not None
    if subject.selection["measure"] == "score":
        return [[row] for row in range(len(prompts.rows))]
    selection = subject.selection
    method = subject.method or selection["method"]
    if selection["measure"] == "ablation" and method == "resample":
        from analysis.sets.metrics import parts  # with torch, which is there once code is asked for

        return [batch.rows.tolist() for batch in parts(prompts)]
    return [batch.rows.tolist() for batch in prompts.batches]


def tail_of(subject: Subject) -> float | None:
    """How much of the resamples is outside the interval, on each side; one row has none."""
    rows = len(subject.prompts.rows) if subject.prompts is not None else 0
    return tail(rows) if rows > 1 else None
