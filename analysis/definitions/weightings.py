"""What each cell of a pattern may be multiplied by, so that it says what comes of the attention."""

from dataclasses import dataclass

from analysis.definitions import runs
from analysis.definitions.quantity import Quantity

VALUE_PATTERN = Quantity(
    "Value-weighted pattern",
    "Attention times the length of what the head would write of that token: a token that is only "
    "rested on, of which little is written, fades.",
    "value[dest, src] = pattern[dest, src] * |x[src] W_V W_O|, without b_V",
    "length in the residual stream, 0 or more; rows have no fixed sum",
    "Kobayashi et al. 2020",
    function="weighted_patterns",
    results=("WeightedPatterns",),
    needs=("run", "pattern", "source_writes"),
    axes=("sequence", "layer", "head"),
    code="""
rows = []
for layer in range(n_layers):
    attention, v = model.blocks[layer].attn, cache[f"blocks.{layer}.attn.hook_v"]
    if attention.b_V is not None:
        v = v - attention.b_V.view(v.shape[2:])
    v = v.repeat_interleave(n_heads // v.shape[2], 2)  # heads of a group share them
    lengths = torch.einsum("bphe,hem->bhpm", v, attention.W_O).norm(dim=-1)
    rows.append(pattern[:, layer] * lengths[:, :, None])
result = torch.stack(rows, 1)  # [sequence, layer, head, dest, src]
""",
)
ANSWER_PATTERN = Quantity(
    "Answer-weighted pattern",
    "What the head adds to the logit of the answer at each destination, by the token that it reads "
    "it from.",
    "value[dest, src] = pattern[dest, src] * (v[src] W_O · W_U[:, answer]), less that of the foil "
    "if there is one, after the final norm with its scale held fixed; a row sums to the head's "
    "direct logit attribution",
    "logits; above 0 towards the answer, below 0 away from it",
    "ARENA 1.2, section 3.4, with z = sum over src of pattern * v written out",
    function="weighted_patterns",
    results=("WeightedPatterns",),
    needs=("run", "pattern", "writes", "targets"),
    axes=("sequence", "layer", "head"),
    code="""
rows = []
for layer in range(n_layers):
    v = cache[f"blocks.{layer}.attn.hook_v"][:, :n_pos]
    for head in range(n_heads):
        value = v[:, :, head * v.shape[2] // n_heads]  # heads of a group share them
        read = read_by_head(layer, head, direction, cache)
        rows.append(pattern[:, layer, head, :n_pos, :n_pos] * (read @ value.mT))
result = torch.stack(rows, 1).unflatten(1, (n_layers, n_heads))  # [sequence, layer, head, ...]
""",
)


@dataclass(frozen=True, slots=True)
class Weighting:
    """One way to weigh a pattern.

    Attributes:
        key: Its name in code and in links.
        label: What it is called in a list.
        quantity: Its definition.
        unit: What a cell is, in a word.
        signed: Whether cells may lie below 0.
    """

    key: str
    label: str
    quantity: Quantity
    unit: str
    signed: bool = False

    @property
    def plain(self) -> bool:
        """Whether a cell is attention itself, so that rows are shares of 1."""
        return self.quantity is runs.PATTERN


ATTENTION = Weighting("attention", "attention", runs.PATTERN, "attention")
WEIGHTINGS: dict[str, Weighting] = {
    each.key: each
    for each in (
        ATTENTION,
        Weighting("value", "value-weighted", VALUE_PATTERN, "length"),
        Weighting("answer", "answer-weighted", ANSWER_PATTERN, "logits", signed=True),
    )
}
