"""Which path an answer takes: patching between two prompts, and edges between heads."""

from analysis.definitions.quantity import Quantity

LOGIT_DIFFERENCE = Quantity(
    "Logit difference",
    "How much the model prefers the answer to the foil after the last token, or in the place of an "
    "encoder's masked one.",
    "m = logit[answer] - logit[foil] at the last position, or of an encoder at the masked one, of "
    "the clean and of the corrupt prompt",
    "logits",
    "Wang et al. 2022",
    function="prompt_pair",
    results=("PatchMap",),
    needs=("pair",),
    code="result = torch.stack([m_clean, m_corrupt])",
)
PATCHING = Quantity(
    "Activation patching",
    "How much of the clean prompt's answer comes back when one of its activations is put into the "
    "corrupt run.",
    "value = (m - m_corrupt) / (m_clean - m_corrupt), m = logit[answer] - logit[foil] at the last "
    "position, or of an encoder at the masked one",
    "share: 0 nothing, 1 all of the difference; below 0 or above 1 is possible",
    "Meng et al. 2022; Wang et al. 2022",
    function="activation_patching",
    results=("PatchMap",),
    needs=("pair", "patched"),
    code="""
name = hook_name(LAYER)


def patch(activation, hook):  # one head, or one position, from the clean run
    place = (slice(None),) * AXIS + (COLUMN,)
    new = activation.clone()
    new[place] = clean_cache[name][place]
    return new


m = difference(model.run_with_hooks(corrupt, fwd_hooks=[(name, patch)]))
result = (m - m_corrupt) / whole
""",
)
ATTRIBUTION_PATCHING = Quantity(
    "Attribution patching",
    "Activation patching as it would be if the logit difference were linear in the activation.",
    "value = sum of (clean - corrupt activation) · d m / d activation, divided by "
    "m_clean - m_corrupt; the gradient is that of the corrupt run",
    "share, an estimate: off where attention is saturated",
    "Nanda 2023",
    function="attribution_patching",
    results=("PatchMap",),
    needs=("pair", "patched"),
    code="""
seen = {}


def note_of(layer):
    def note(activation, hook):
        seen[layer] = activation.clone()  # the one that the rest of the run is computed from
        return seen[layer]

    return hook_name(layer), note


with torch.enable_grad():
    m = difference(model.run_with_hooks(corrupt, fwd_hooks=[note_of(i) for i in range(n_layers)]))
    slopes = torch.autograd.grad(m, list(seen.values()))
estimates = []
for layer, slope in enumerate(slopes):
    change = (clean_cache[hook_name(layer)] - seen[layer].detach()) * slope
    others = [axis for axis in range(change.ndim) if axis != AXIS]
    estimates.append(change.sum(others) / whole)
result = torch.stack(estimates)  # [layer, head or position]
""",
)
PATH_PATCHING = Quantity(
    "Path patching",
    "How much of the answer comes back along one edge, from a head to one input of a later head.",
    "activation patching of the reader's q, k or v, worked out from the corrupt stream with the "
    "writer's z W_O exchanged for the clean one",
    "share, as in activation patching",
    "Wang et al. 2022; Goldowsky-Dill et al. 2023",
    function="path_patching",
    results=("PathMap",),
    needs=("pair", "writes", "norm", "reads"),
    code="""
name = f"blocks.{LAYER}.attn.hook_{INTO}"
result = torch.full((n_layers, n_heads), torch.nan)  # of the head that writes
own = HEAD * readers_of(INTO) // n_heads  # heads of a group share keys and values
for layer in range(LAYER):
    changes = writes_of(layer, clean_cache) - writes_of(layer, corrupt_cache)
    for head, change in enumerate(changes.unbind(2)):
        # The stream as the reading head would see it if this one head had its clean output.
        read = reads_of(corrupt_cache[f"blocks.{LAYER}.hook_resid_pre"] + change, LAYER, INTO, own)

        def patch(activation, hook):
            new = activation.clone()
            new[:, :, own] = read
            return new

        m = difference(model.run_with_hooks(corrupt, fwd_hooks=[(name, patch)]))
        result[layer, head] = (m - m_corrupt) / whole
""",
)
EDGE_ATTRIBUTION = Quantity(
    "Edge attribution",
    "What cutting the direct path from a head to a later head's q, k or v, or to the logits, would "
    "do to the loss.",
    "score = sum of d loss / d (the reader's own copy of the stream) · (replacement - z) W_O of "
    "the writer",
    "nats per token, an estimate; above 0 the edge helps",
    "Syed et al. 2023",
    function="edge_attribution",
    results=(
        "EdgeAttribution",
        "Edge",
        "Reader",
    ),
    needs=("run", "writes", "norm", "reads", "loss", "cut", "edges"),
    code="""
for edge, nats in sorted(edges.items(), key=lambda item: -abs(item[1]))[:10]:
    print(*edge, f"{nats:+.3f}")
result = torch.tensor(list(edges.values()))
""",
)
_RECOVERED = """
def heads_of(layer, head, part):  # that read through it; those of a group share keys and values
    group = n_heads // readers_of(part)
    return {(layer, head * group + i) for i in range(group)}


def strongest(count):  # those of them that lie on a path to the logits
    ordered = sorted(edges, key=lambda edge: -abs(edges[edge]))[:count]
    kept, live = set(), set()
    for writer, reader in sorted(ordered, key=lambda edge: -edge[0][0]):  # the last layer first
        if reader == "logits" or not live.isdisjoint(heads_of(*reader)):
            kept.add((writer, reader))
            live.add(writer)
    return kept


def loss_with(kept):  # every other edge is cut
    return loss(cut_hooks(kept))


def recovered(kept):
    without = loss_with(set())
    gap = without - loss()
    # Less of a gap would be noise.
    return (without - loss_with(kept)) / gap if gap >= LEAST else torch.tensor(torch.nan)


kept = strongest(EDGES)
result = torch.stack([recovered(kept), loss_with(kept)])
"""
# Nats per token that heads or edges have to be worth for a share of it to be more than noise.
LEAST_SHARED = 0.05
FAITHFULNESS = Quantity(
    "Faithfulness of a circuit",
    "How much of what all edges between heads do is done by the ones that are kept.",
    "recovered = (loss without edges - loss with the kept ones) / (loss without edges - loss as it "
    "is); embeddings, biases, MLPs and what heads write to MLPs stay",
    "share: 0 nothing, 1 all of it",
    "Wang et al. 2022; Conmy et al. 2023",
    function="faithfulness",
    results=("Faithfulness",),
    needs=("run", "writes", "norm", "reads", "loss", "cut", "edges", "kept_edges"),
    code=_RECOVERED.replace("LEAST", "0.05"),
)
PAIR_EDGES = Quantity(
    "Edge attribution between two prompts",
    "What the corrupt prompt's output on the direct path from a head to a later head's q, k or v, "
    "or to the logits, would take from the clean prompt's logit difference.",
    "score = sum of d m / d (the reader's own copy of the stream) · (clean z - corrupt z) W_O of "
    "the writer, m = logit[answer] - logit[foil] at the last position of the clean run",
    "logits, an estimate; above 0 the edge speaks for the answer",
    "Syed et al. 2023",
    function="pair_edge_attribution",
    results=("PairEdgeAttribution",),
    needs=("pair", "between", "writes", "norm", "reads", "edges"),
    code=EDGE_ATTRIBUTION.code.replace("nats", "worth"),
)
PAIR_FAITHFULNESS = Quantity(
    "Faithfulness of a circuit between two prompts",
    "How much of what all edges between heads do for the answer is done by the ones that are kept.",
    "recovered = (m with the kept edges - m with none) / (m as it is - m with none), m = "
    "logit[answer] - logit[foil] at the last position of the clean run; other edges carry the "
    "corrupt prompt's z",
    "share: 0 nothing, 1 all of it",
    "Wang et al. 2022; Conmy et al. 2023",
    function="pair_faithfulness",
    results=("PairFaithfulness",),
    needs=("pair", "between", "writes", "norm", "reads", "edges", "kept_edges"),
    # A cost is minus the logit difference.
    code=_RECOVERED.replace("LEAST", "0.1").replace(
        "recovered(kept), loss_with(kept)", "recovered(kept), -loss_with(kept)"
    ),
)
