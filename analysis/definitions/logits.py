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
    needs=("run", "targets"),
    axes=("sequence", "dest"),
    code="""
parts = {
    "Direct": (cache["hook_embed"][:, :n_pos] * direction).sum(-1),
    "Positions": (cache["hook_pos_embed"].expand_as(cache["hook_embed"])[:, :n_pos] * direction)
    .sum(-1),
}
for layer in range(n_layers):
    z = cache[f"blocks.{layer}.attn.hook_z"][:, :n_pos]
    for head in range(n_heads):
        parts[f"L{layer}H{head}"] = (z[:, :, head] @ model.W_O[layer, head] * direction).sum(-1)
    constant = constant + direction @ model.blocks[layer].attn.b_O
    if facts["d_mlp"]:
        written = cache[f"blocks.{layer}.hook_mlp_out"][:, :n_pos]
        parts[f"MLP{layer}"] = (written * direction).sum(-1)
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
    needs=("run", "targets"),
    axes=("sequence", "dest"),
    code="""
attention, mlp = [], []
for layer in range(n_layers):
    z = cache[f"blocks.{layer}.attn.hook_z"][:, :n_pos]
    written = torch.einsum("bphe,hem->bpm", z, model.W_O[layer])
    attention.append((written * direction).sum(-1))
    if facts["d_mlp"]:
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
    needs=("run", "targets"),
    axes=("sequence",),
    code="""
pattern_of_head = cache[f"blocks.{LAYER}.attn.hook_pattern"][:, HEAD, :n_pos, :n_pos]
value = cache[f"blocks.{LAYER}.attn.hook_v"][:, :n_pos, HEAD]
read = direction @ model.W_O[LAYER, HEAD].T
result = pattern_of_head * (read @ value.mT)  # [batch, dest, src]
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
    needs=("run",),
    axes=("sequence",),
    code="""
streams = ["blocks.0.hook_resid_pre"]
streams += [f"blocks.{layer}.hook_resid_post" for layer in range(n_layers)]
depths = []
for name in streams:
    stream = cache[name]
    if facts["normalization"]:
        stream = model.ln_final.original_component(stream)
    depths.append((stream @ model.W_U + model.b_U).softmax(-1))
end = depths[-1].argmax(-1, keepdim=True)  # what the model ends with
result = torch.stack([p.gather(-1, end)[..., 0] for p in depths], 1)  # [sequence, depth, pos]
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
    needs=("run", "weights", "parts"),
    code="""
# Only places that may be looked at; the mean over sequences.
seen = torch.ones(tokens.shape[1], tokens.shape[1], dtype=bool).tril()
spread = [
    [(a @ b.mT / d_head**0.5)[:, seen].std(-1).mean() for b in keys.values()]
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
    needs=("run", "weights", "parts"),
    code="""
query = cache[f"blocks.{LAYER}.attn.hook_q"][ROW, DEST, HEAD]
key = cache[f"blocks.{LAYER}.attn.hook_k"][ROW, SRC, HEAD]
print(list(queries), query @ key / d_head**0.5)
query_side = [part[ROW, DEST] @ key / d_head**0.5 for part in queries.values()]
key_side = [query @ part[ROW, SRC] / d_head**0.5 for part in keys.values()]
result = torch.tensor([query_side, key_side])  # each sums to the score
""",
)
