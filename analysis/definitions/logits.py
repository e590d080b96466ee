"""What components add to the logits, and to queries and keys."""

from analysis.definitions.quantity import Quantity

ATTRIBUTION = Quantity(
    "Direct logit attribution",
    "What each component, by what it wrote to the residual stream, adds to a token's logit.",
    "value[pos, component] = write[pos] · W_U[:, token], after the final norm with its scale held "
    "fixed; the sum over components is the logit minus the unembedding bias b_U",
    "logits",
    "ARENA 1.2, section 3.4; TransformerLens, direct_logit_attribution",
    function="logit_attribution",
    results=("Attribution",),
    needs=("run", "writes", "targets"),
    axes=("sequence", "dest"),
    code="""
def along(write):  # [batch, pos]
    return (write.expand_as(cache["hook_embed"])[:, :n_pos] * direction).sum(-1)


parts = {"Direct": along(cache["hook_embed"])}
if "hook_pos_embed" in cache.keys():
    parts["Positions"] = along(cache["hook_pos_embed"])
for layer in range(n_layers):
    for head, write in enumerate(writes_of(layer, cache).unbind(2)):
        parts[f"L{layer}H{head}"] = along(write)
    constant = constant + along(bias_write(layer, cache))
    if f"blocks.{layer}.hook_mlp_out" in cache.keys():
        parts[f"MLP{layer}"] = along(cache[f"blocks.{layer}.hook_mlp_out"])
if constant.abs().max() > 0:
    parts["Biases"] = constant
result = torch.stack(list(parts.values()), -1)  # [batch, pos, component]
""",
)
LAYER_ATTRIBUTION = Quantity(
    "Attribution by layer",
    "What all heads of a layer together, and its MLP, add to a token's logit.",
    "attention[pos, layer] = sum over its heads of their direct logit attribution; "
    "mlp[pos, layer] = that of the MLP; b_O, which belongs to no head, is in neither",
    "logits",
    "ARENA 1.2, section 3.4, summed",
    function="logit_attribution",
    results=("Attribution",),
    needs=("run", "writes", "targets"),
    axes=("sequence", "dest"),
    code="""
attention, mlp = [], []
for layer in range(n_layers):
    written = writes_of(layer, cache)[:, :n_pos].sum(2)
    attention.append((written * direction).sum(-1))
    if f"blocks.{layer}.hook_mlp_out" in cache.keys():
        mlp.append((cache[f"blocks.{layer}.hook_mlp_out"][:, :n_pos] * direction).sum(-1))
result = torch.stack(attention + mlp, -1)  # [sequence, pos, layers of attention, then of MLPs]
""",
)
FROZEN_SCALE = (  # `norm` is the model's own, with its article
    "This model has {norm} before the unembedding. Its scale is frozen at the value it had at "
    "each position: otherwise the logit would not be a sum over components."
)

SOURCE_ATTRIBUTION = Quantity(
    "One head's logit attribution by source token",
    "Which tokens the head reads what it adds to a logit from.",
    "value[dest, src] = pattern[dest, src] * (v[src] W_O · W_U[:, token]), after the final norm "
    "with its scale held fixed; the sum over src is the head's direct logit attribution at dest",
    "logits",
    "ARENA 1.2, section 3.4, with z = sum over src of pattern * v written out",
    function="source_attribution",
    results=("SourceAttribution",),
    needs=("run", "writes", "targets"),
    axes=("sequence",),
    code="""
pattern_of_head = cache[f"blocks.{LAYER}.attn.hook_pattern"][:, HEAD, :n_pos, :n_pos]
values = cache[f"blocks.{LAYER}.attn.hook_v"][:, :n_pos]
value = values[:, :, HEAD * values.shape[2] // n_heads]  # heads of a group share them
read = read_by_head(LAYER, HEAD, direction, cache)
result = pattern_of_head * (read @ value.mT)  # [batch, dest, src]
""",
)
ANSWER_SOURCES = Quantity(
    "Heads' attribution of one answer by source token",
    "Which tokens each head reads what it adds to one answer from.",
    "value[head, src] = pattern[dest, src] * (v[src] W_O · W_U[:, token]) at the destination that "
    "the answer comes after, after the final norm with its scale held fixed",
    "logits",
    "ARENA 1.2, section 3.4, with z = sum over src of pattern * v written out",
    function="source_attribution",
    results=("SourceAttribution",),
    needs=("run", "writes", "targets"),
    code="""
rows = []
for layer, head in zip(LAYERS, HEADS):
    seen = cache[f"blocks.{layer}.attn.hook_pattern"][ROW, head, DEST, : DEST + 1]
    values = cache[f"blocks.{layer}.attn.hook_v"][ROW, : DEST + 1]
    value = values[:, head * values.shape[1] // n_heads]  # heads of a group share them
    rows.append(seen * (value @ read_by_head(layer, head, direction, cache)[ROW, DEST]))
result = torch.stack(rows)  # [head, src]
""",
)
LENS = Quantity(
    "Logit lens",
    "What the model would predict if it stopped after each layer.",
    "p[depth, pos] = softmax(norm(resid[depth, pos]) W_U + b_U), with the model's own final norm; "
    "after the last layer it is the model's own prediction, and colours are p of its top guess",
    "probability, 0 to 1; early streams were never trained to be read like this",
    "nostalgebraist 2020",
    function="logit_lens",
    results=("Lens",),
    needs=("run", "readout"),
    axes=("sequence",),
    code="""
streams = ["blocks.0.hook_resid_pre"]
streams += [f"blocks.{layer}.hook_resid_post" for layer in range(n_layers)]
depths = [logits_of(cache[name]).softmax(-1) for name in streams]
end = depths[-1].argmax(-1, keepdim=True)  # what the model ends with
result = torch.stack([p.gather(-1, end)[..., 0] for p in depths], 1)  # [sequence, depth, pos]
""",
)
LENS_AT = Quantity(
    "Logit lens at one position",
    "What the model would predict after one position if it stopped after each layer.",
    "p[depth] = softmax(norm(resid[depth, pos]) W_U + b_U), with the model's own final norm; the "
    "five most likely tokens of each depth, after the last layer the model's own prediction",
    "probability, 0 to 1; early streams were never trained to be read like this",
    "nostalgebraist 2020",
    function="logit_lens",
    results=("Lens",),
    needs=("run", "readout"),
    code="""
streams = ["blocks.0.hook_resid_pre"]
streams += [f"blocks.{layer}.hook_resid_post" for layer in range(n_layers)]
depths = [logits_of(cache[name])[ROW, DEST].softmax(-1) for name in streams]
result = torch.stack([p.topk(5).values for p in depths])  # [depth, rank]
""",
)
DECOMPOSITION = Quantity(
    "Queries and keys by component",
    "Which earlier component a head's query or key comes from, and which pairs decide attention.",
    "q = sum over components of write W_Q (likewise k), the norm's scale held fixed; "
    "std[a, b] = standard deviation over dest >= src of q_a[dest] · k_b[src] * scale",
    "norms in activation units, scores before softmax",
    "ARENA 1.2, sections 4.6 and 4.7; there, positions ahead are counted too",
    function="k_composition",
    results=("Decomposition",),
    needs=("run", "writes", "weights", "compared", "parts"),
    code="""
# Only places that may be looked at; the mean over sequences.
seen = torch.ones(tokens.shape[1], tokens.shape[1], dtype=bool).tril()
spread = [
    [(a @ b.mT * SCALE)[:, seen].std(-1).mean() for b in keys.values()]
    for a in queries.values()
]
print(list(queries))
result = torch.tensor(spread)  # [component of the query, component of the key]
""",
)
SCORE_SPLIT = Quantity(
    "One attention score by component",
    "Why a destination scores one source as it does.",
    "query side: q_a[dest] · k[src] * scale; key side: q[dest] · k_b[src] * scale; each sums to "
    "the score, once turned by the positions where these are rotary",
    "attention score before softmax",
    "ARENA 1.2, section 4.7",
    function="score_split",
    results=("ScoreSplit",),
    needs=("run", "writes", "weights", "compared", "parts"),
    code="""
query = compared("q", LAYER, HEAD)[ROW, DEST]
key = compared("k", LAYER, HEAD)[ROW, SRC]
print(list(queries), query @ key * SCALE)
query_side = [part[ROW, DEST] @ key * SCALE for part in queries.values()]
key_side = [query @ part[ROW, SRC] * SCALE for part in keys.values()]
result = torch.tensor([query_side, key_side])  # each sums to the score
""",
)
