"""How good a circuit is that a person has put together, on a set of prompts."""

from analysis.definitions.quantity import Quantity

_SCORE = ("CircuitScore", "RandomCircuits", "HeadCircuit", "Wire")
_NEEDS = ("set", "run", "loss", "ablate", "difference", "circuit")
_F = (
    "F: mean over prompts of the metric (of the loss: its negative) where z of every head outside "
    "the circuit is replaced, and readers do not see what a left-out edge would bring them"
)
CIRCUIT_FAITHFULNESS = Quantity(
    "Faithfulness over a set",
    "Whether a circuit is enough: what is left of the answer's lead where all other heads and "
    "edges are out.",
    f"F(C), beside F(M) of all heads and F of none; share = (F(C) - F(none)) / (F(M) - F(none)). "
    f"{_F}. Random circuits: as many heads of each layer, drawn with a seed, the same edges",
    "the metric's unit: logits for the logit difference, else nats; share: 1 is the whole model, "
    "it may exceed 1",
    "Wang et al. 2022, section 3; random circuits: this project",
    function="circuit_score",
    results=_SCORE,
    needs=_NEEDS,
    code="""
# The circuit, all heads, none, and then the circuits beside it.
circuits = [CIRCUITS[0], every, less(every, all_heads), *CIRCUITS[1:]]
result = torch.stack([with_only(each) for each in circuits])
""",
)
CIRCUIT_COMPLETENESS = Quantity(
    "Completeness over a set",
    "Whether a circuit lacks something that the model falls back on: taking heads K out has to "
    "change circuit and model alike.",
    f"|F(M without K) - F(C without K)|, mean over random K of the circuit's heads, each in K with "
    f"probability 1/2. {_F}. Random circuits: one K of each",
    "the metric's unit; 0: nothing is missing",
    "Wang et al. 2022, section 4.1",
    function="circuit_score",
    results=_SCORE,
    needs=_NEEDS,
    code="""
# For each K, what the whole model does without it, and what the circuit does.
result = torch.stack(
    [
        torch.stack([with_only(less(circuit, k)) for k in GROUPS])
        for circuit in (every, CIRCUITS[0])
    ]
)
""",
)
CIRCUIT_MINIMALITY = Quantity(
    "Minimality over a set",
    "Whether each head of a circuit is needed: what is lost once it alone is taken out of it.",
    f"F(C) - F(C without h) for each head h, likewise for each chosen edge. {_F}. Random circuits: "
    "one head of each",
    "the metric's unit; 0: the circuit does as well without it; below 0: better",
    "Wang et al. 2022, section 4.2, with K empty",
    function="circuit_score",
    results=_SCORE,
    needs=_NEEDS,
    code="""
with_all = with_only(CIRCUITS[0])
result = torch.stack([with_all - with_only(each) for each in one_less(CIRCUITS[0])])
""",
)
SET_EDGES = Quantity(
    "Edges over a set",
    "How much each path from a head to a later head or the logits is worth on a set of prompts.",
    "mean over prompts of d metric / d (the reader's own copy of the stream) . (z - replacement) "
    "W_O of the writer, summed over positions and d_model: one forward and one backward pass",
    "the metric's unit; positive: the task suffers without it, to first order",
    "Nanda 2023; Syed et al. 2023",
    function="set_edges",
    results=("SetEdges",),
)
