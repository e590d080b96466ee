"""What a snippet does for each quantity: ends with `result`, the numbers that the page shows.

Written for a reader: plain loops, one activation or weight matrix at a time. Names in capitals are
set by `app.snippets` from the view.
"""

from analysis import definitions as d
from app.frame.snippets import paths

Row = tuple[tuple[str, ...], str]  # the parts it needs, and its own lines

BODIES: dict[d.Definition, Row] = {
    d.TOKENS: ((), "result = tokens\nprint(tokenizer.convert_ids_to_tokens(tokens[0].tolist()))"),
    d.LOSS: (("run",), "result = -next_token_log_probs(logits).mean()"),
    d.HALF_LOSS: (
        ("repeated", "run"),
        """
log_probs = next_token_log_probs(logits)
result = torch.stack([-log_probs[:, :S].mean(), -log_probs[:, scored].mean()])
""",
    ),
    d.PATTERN: (("run", "pattern"), "result = pattern"),
    d.PATTERN_CHECK: (
        ("run",),
        """
q, k = (cache[f"blocks.{LAYER}.attn.hook_{part}"] for part in ("q", "k"))
scores = torch.einsum("bdhe,bshe->bhds", q, k) / d_head**0.5
ahead = torch.ones(scores.shape[-2:], dtype=bool).triu(1)
result = scores.masked_fill(ahead, -torch.inf).softmax(-1)  # [batch, head, dest, src]
print((result - cache[f"blocks.{LAYER}.attn.hook_pattern"]).abs().max())
""",
    ),
    d.SCORES["current"]: (
        ("run", "pattern", "score"),
        "result = attention_on(torch.eye(tokens.shape[1], dtype=bool).expand_as(earlier_copies))",
    ),
    d.SCORES["previous"]: (
        ("run", "pattern", "score"),
        """
stripe = torch.ones(tokens.shape[1], tokens.shape[1], dtype=bool).tril(-1).triu(-1)
result = attention_on(stripe.expand_as(earlier_copies))
""",
    ),
    d.SCORES["first"]: (
        ("run", "pattern", "score"),
        "result = attention_on((torch.arange(tokens.shape[1]) == 0).expand_as(earlier_copies))",
    ),
    d.SCORES["duplicate"]: (("run", "pattern", "score"), "result = attention_on(earlier_copies)"),
    d.SCORES["induction"]: (
        ("run", "pattern", "score"),
        """
after = torch.zeros_like(earlier_copies)
after[:, :, 1:] = earlier_copies[:, :, :-1]
result = attention_on(after.tril(-1))
""",
    ),
    d.SCORES["entropy"]: (
        ("run", "pattern"),
        "result = -(pattern * pattern.clamp(min=1e-30).log()).sum(-1).mean((0, -1))",
    ),
    d.SIMILARITY: (
        ("run", "pattern", "score", "weights"),
        """
n_pos = tokens.shape[1]
after = torch.zeros_like(earlier_copies)
after[:, :, 1:] = earlier_copies[:, :, :-1]
sources = [
    torch.eye(n_pos, dtype=bool)[None],  # the token itself
    torch.ones(n_pos, n_pos, dtype=bool).tril(-1).triu(-1)[None],  # the one before
    (torch.arange(n_pos) == 0).expand(1, n_pos, n_pos),  # the first
    earlier_copies,
    after.tril(-1),  # what came after the copies: induction
]
scores = [attention_on(each.expand_as(earlier_copies)) for each in sources]
scores.append(-(pattern * pattern.clamp(min=1e-30).log()).sum(-1).mean((0, -1)))  # entropy
eigenvalues = torch.linalg.eigvals(W_O @ (W_U @ W_E) @ W_V)
scores.append(eigenvalues.real.sum(-1) / eigenvalues.abs().sum(-1))
# Copying and the ablation effect, where the page has measured them, are two more.
profiles = [score / score.std(correction=0) for score in scores if score.std() > 0]
own = torch.stack(profiles)  # [score, layer, head]
result = (own - own[:, LAYER, HEAD, None, None]).norm(dim=0)  # [layer, head]
""",
    ),
    d.COURSE_STRIPE: (
        ("repeated", "run", "pattern"),
        "result = pattern.diagonal(-(S - 1), -2, -1).mean((0, -1))",
    ),
    d.DISTANCE_PROFILE: (
        ("run", "pattern"),
        """
first = S + 1 if S else 0
profile = [
    pattern.diagonal(-distance, -2, -1)[..., max(first - distance, 0) :].mean((0, -1))
    for distance in range(tokens.shape[1])
]
result = torch.stack(profile, -1)  # [layer, head, distance]
""",
    ),
    d.RESTING: (
        ("repeated", "run", "pattern"),
        """
at_first = pattern[..., 0]
result = torch.stack(
    [at_first[..., 1 : S + 1].mean((0, -1)), at_first[..., S + 1 :].mean((0, -1))]
)
""",
    ),
    d.ATTRIBUTION: (
        ("run", "targets"),
        """
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
    ),
    d.SOURCE_ATTRIBUTION: (
        ("run", "targets"),
        """
pattern_of_head = cache[f"blocks.{LAYER}.attn.hook_pattern"][:, HEAD, :n_pos, :n_pos]
value = cache[f"blocks.{LAYER}.attn.hook_v"][:, :n_pos, HEAD]
read = direction @ model.W_O[LAYER, HEAD].T
result = pattern_of_head * (read @ value.mT)  # [batch, dest, src]
""",
    ),
    d.LENS: (
        ("run",),
        """
streams = ["blocks.0.hook_resid_pre"]
streams += [f"blocks.{layer}.hook_resid_post" for layer in range(n_layers)]
depths = []
for name in streams:
    stream = cache[name]
    if facts["normalization"]:
        stream = model.ln_final.original_component(stream)
    depths.append(next_token_log_probs(stream @ model.W_U + model.b_U))
result = torch.stack(depths, 1)  # [batch, depth, entry], of the token that came
""",
    ),
    d.ABLATION: (
        ("run", "loss", "ablate"),
        """
effects = [[loss(ablated([(i, h)])) - loss() for h in range(n_heads)] for i in range(n_layers)]
result = torch.tensor(effects)  # [layer, head]
""",
    ),
    d.ABLATION_ESTIMATE: (
        ("run", "loss", "ablate"),
        """
z = {}


def note(layer):
    def hook(activation, hook):
        z[layer] = activation.clone()  # the one that the rest of the run is computed from
        return z[layer]

    return z_hook(layer), hook


with torch.enable_grad():
    slopes = torch.autograd.grad(loss([note(i) for i in range(n_layers)]), list(z.values()))
changes = [replacement(own.detach()) - own.detach() for own in z.values()]
result = torch.stack([(c * s).sum((0, 1, 3)) for c, s in zip(changes, slopes)])  # [layer, head]
""",
    ),
    d.JOINT_ABLATION: (
        ("run", "loss", "ablate"),
        """
first, second = WRITER, (LAYER, HEAD)
both, one, other = (loss(ablated(heads)) for heads in ([first, second], [first], [second]))
result = (both - loss()) - (one - loss()) - (other - loss())
""",
    ),
    d.PAIR_ABLATION: (
        ("repeated",),
        """
rows = []
for index, row in enumerate(tokens.tolist()):
    half, pairs = row[1 : S + 1], []
    random = np.random.default_rng([SEED, index, 1])
    start = S
    while len(pairs) < S:  # no pair continues the one before it
        start = int(random.choice([i for i in range(S - 1) if i != start + 2]))
        pairs += half[start : start + 2]
    rows.append([row[0], *half, *pairs[:S]])
paired = torch.tensor(rows)


def loss_on_pairs(hooks=()):  # of the second token of each pair
    log_probs = model.run_with_hooks(paired, fwd_hooks=list(hooks))[:, :-1].log_softmax(-1)
    return -log_probs.gather(-1, paired[:, 1:, None])[:, S + 1 : 2 * S : 2].mean()


result = torch.zeros(n_layers, n_heads)
for layer in range(n_layers):
    for head in range(n_heads):

        def replace(z, hook):
            new = z.clone()
            new[:, :, head] = z[:, :, head].mean(0)  # over sequences, at each position
            return new

        hooks = [(f"blocks.{layer}.attn.hook_z", replace)]
        result[layer, head] = loss_on_pairs(hooks) - loss_on_pairs()
""",
    ),
    d.OFFSET_ABLATION: (
        ("run", "loss"),
        """
position = torch.arange(tokens.shape[1])
distance = position[:, None] - position  # [dest, src]
attention = cache[f"blocks.{LAYER}.attn.hook_pattern"]
values = cache[f"blocks.{LAYER}.attn.hook_v"]


def restricted(head, kept):  # hooks that let a head read values only at these distances
    def rebuild(z, hook):
        real = torch.isin(distance, torch.tensor(kept))
        own = values[:, :, head]
        new = z.clone()
        new[:, :, head] = (attention[:, head] * real) @ own
        new[:, :, head] += (attention[:, head] * ~real) @ own.mean(0)  # says nothing of the text
        return new

    return [(z_hook(LAYER), rebuild)]


kept_sets = [[], [0], [1], [2], [3], [1, 2], [1, 2, 3]]
if OFFSETS not in kept_sets:
    kept_sets.append(OFFSETS)
effects = [[loss(restricted(h, kept)) - loss() for h in range(n_heads)] for kept in kept_sets]
result = torch.tensor(effects)  # [distances kept, head]
""",
    ),
    d.KEEP_ONLY: (
        ("run", "loss", "ablate"),
        """
every = [(layer, head) for layer in range(n_layers) for head in range(n_heads)]
replacement = torch.zeros_like
result = loss(ablated([head for head in every if head not in KEPT]))
""",
    ),
    d.TARGETED_ABLATION: (
        ("run", "pattern", "score", "loss"),
        """
after = torch.zeros_like(earlier_copies)
after[:, :, 1:] = earlier_copies[:, :, :-1]


def stripe(hooks):
    def note(own, hook):
        seen.append(own)

    seen = []
    name = f"blocks.{LAYER}.attn.hook_pattern"
    model.run_with_hooks(tokens, fwd_hooks=[*hooks, (name, note)])
    attention = (seen[0][:, HEAD] * after.tril(-1)).sum((-1, -2))
    return (attention / after.tril(-1).any(-1).sum(-1)).nanmean()


def silenced(layer, head):
    def silence(z, hook):
        new = z.clone()
        new[:, :, head] = 0
        return new

    return [(z_hook(layer), silence)]


sources = [(layer, head) for layer in range(LAYER) for head in range(n_heads)]
result = torch.tensor([stripe(silenced(*source)) - stripe([]) for source in sources])
""",
    ),
    d.OV_CIRCUIT: (
        ("weights",),
        "result = W_E @ W_V[LAYER, HEAD] @ W_O[LAYER, HEAD] @ W_U  # [source token, output token]",
    ),
    d.COPYING: (
        ("weights",),
        """
M = W_E @ W_V[LAYER, HEAD] @ (W_O[LAYER, HEAD] @ W_U)
own = M.diagonal().clone()
beaten_by = (M >= own[:, None]).sum(-1) - 1  # itself does not count
result = torch.stack([(beaten_by < k).float().mean() for k in (1, 5)])
""",
    ),
    d.EIGENVALUES: (
        ("weights",),
        """
# Those of W_V W_O that are not 0, and those of W_E W_V W_O W_U.
weights_alone = torch.linalg.eigvals(W_O @ W_V)
eigenvalues = torch.linalg.eigvals(W_O @ (W_U @ W_E) @ W_V)
scores = [e.real.sum(-1) / e.abs().sum(-1) for e in (weights_alone, eigenvalues)]
result = torch.stack(scores)  # [which, layer, head]
""",
    ),
    d.OV_DIRECTIONS: (
        ("weights",),
        """
U, singular, V_t = torch.linalg.svd(W_V[LAYER, HEAD] @ W_O[LAYER, HEAD])
read, written = W_E @ U[:, 0], V_t[0] @ W_U  # tokens of the strongest direction, up to its sign
result = singular[:d_head]
""",
    ),
    d.FACTORED_MATRIX: (
        ("weights",),
        """
from transformer_lens import FactoredMatrix

factored = FactoredMatrix(W_E @ W_V[LAYER, HEAD], W_O[LAYER, HEAD] @ W_U)
n, m = factored.A.shape[0], factored.B.shape[1]
# Bytes of the product written out, and of its factors.
result = torch.tensor([4 * n * m, 4 * (factored.A.numel() + factored.B.numel())])
""",
    ),
    d.POSITIONAL_PATTERN: (
        ("weights",),
        """
scores = (W_pos @ W_Q[LAYER, HEAD]) @ (W_pos @ W_K[LAYER, HEAD]).T / d_head**0.5
result = scores.masked_fill(torch.ones_like(scores, dtype=bool).triu(1), -torch.inf).softmax(-1)
""",
    ),
    d.TOKEN_PREFERENCES: (
        ("weights",),
        """
token = tokenizer.encode(TOKEN, add_special_tokens=False)[0]
scores_of_keys = W_E @ (W_K[LAYER, HEAD] @ (W_E[token] @ W_Q[LAYER, HEAD])) / d_head**0.5
scores_of_queries = W_E @ (W_Q[LAYER, HEAD] @ (W_E[token] @ W_K[LAYER, HEAD])) / d_head**0.5
result = torch.stack([scores_of_keys, scores_of_queries])
""",
    ),
    d.K_COMPOSITION_CIRCUIT: (
        ("weights",),
        """
queries_of_tokens = W_E @ W_Q[LAYER, HEAD]
keys_of_tokens = W_E @ W_V[WRITER] @ (W_O[WRITER] @ W_K[LAYER, HEAD])
C = queries_of_tokens @ keys_of_tokens.T
own = C.diagonal().clone()
best_key = ((C >= own[:, None]).sum(1) == 1).float().mean()
best_query = ((C >= own).sum(0) == 1).float().mean()
result = torch.stack([best_key, best_query])
""",
    ),
    d.COMPOSITION: (
        ("weights",),
        """
OV = W_V @ W_O
read_by = {"Q": W_Q @ W_K.mT, "K": W_K @ W_Q.mT, "V": OV}[KIND]
# [writer layer, writer head, reader layer, reader head]
result = torch.full((n_layers, n_heads, n_layers, n_heads), torch.nan)
for layer in range(n_layers - 1):
    for head in range(n_heads):
        later = read_by[layer + 1 :]
        size = OV[layer, head].norm() * later.norm(dim=(-2, -1))
        result[layer, head, layer + 1 :] = (OV[layer, head] @ later).norm(dim=(-2, -1)) / size
""",
    ),
    d.COMPOSITION_BASELINE: (
        ("weights",),
        """
generator = torch.Generator().manual_seed(0)
sample = []
for _ in range(6):  # 300 random pairs
    a1, a2, b1, b2 = torch.randn(4, 50, W_E.shape[1], d_head, generator=generator)
    for A, B in zip(a1 @ a2.mT, b1 @ b2.mT):
        sample.append((A @ B).norm() / (A.norm() * B.norm()))
result = torch.stack([torch.stack(sample).mean(), torch.stack(sample).std()])
""",
    ),
    d.DECOMPOSITION: (
        ("run", "weights", "parts"),
        """
# Only places that may be looked at; the mean over sequences.
seen = torch.ones(tokens.shape[1], tokens.shape[1], dtype=bool).tril()
spread = [
    [(a @ b.mT / d_head**0.5)[:, seen].std(-1).mean() for b in keys.values()]
    for a in queries.values()
]
print(list(queries))
result = torch.tensor(spread)  # [component of the query, component of the key]
""",
    ),
    d.SCORE_SPLIT: (
        ("run", "weights", "parts"),
        """
attention = cache[f"blocks.{LAYER}.attn.hook_pattern"][ROW, HEAD].clone()
attention[1:, 0] = 0  # most heads rest on the first token
dest = DEST if DEST >= 0 else int(attention[1:].max(-1).values.argmax()) + 1
src = SRC if SRC >= 0 else int(attention[dest].argmax())
query = cache[f"blocks.{LAYER}.attn.hook_q"][ROW, dest, HEAD]
key = cache[f"blocks.{LAYER}.attn.hook_k"][ROW, src, HEAD]
print(list(queries), dest, src, query @ key / d_head**0.5)
query_side = [part[ROW, dest] @ key / d_head**0.5 for part in queries.values()]
key_side = [query @ part[ROW, src] / d_head**0.5 for part in keys.values()]
result = torch.tensor([query_side, key_side])  # each sums to the score
""",
    ),
    d.TRANSITION: (
        (),
        """
records = json.loads((folder / "history.json").read_text())  # noted while the model was trained
best = torch.tensor([record["scores"]["induction"] for record in records]).amax((1, 2))
formed = int((best >= best[-1] / 2).int().argmax())
result = torch.tensor(records[formed]["step"])
""",
    ),
    d.NEURON_ACTIVATION: (("run",), 'result = cache[f"blocks.{LAYER}.mlp.hook_post"]'),
    d.NEURON_TOKENS: (
        ("weights",),
        "result = model.blocks[LAYER].mlp.W_out[NEURON] @ W_U  # logits for one unit",
    ),
    d.PARAMETER: ((), "result = model.W_Q[LAYER]  # [head, d_model, d_head]; likewise the others"),
    d.ACTIVATION: (("run",), 'result = cache[f"blocks.{LAYER}.hook_resid_pre"]'),
    **paths.BODIES,
}

# Quantities of activations and runs alone: the same lines hold for every architecture. Weights
# need another treatment with rotary positions, shared keys and values, or RMS norms.
OF_ANY_MODEL = frozenset(
    {
        *(d.TOKENS, d.LOSS, d.HALF_LOSS, d.PATTERN, d.ACTIVATION, d.NEURON_ACTIVATION),
        *(*d.SCORES.values(), d.COURSE_STRIPE, d.DISTANCE_PROFILE, d.RESTING),
        *(d.ABLATION, d.ABLATION_ESTIMATE, d.JOINT_ABLATION, d.KEEP_ONLY, d.TARGETED_ABLATION),
        *(d.PATCHING, d.ATTRIBUTION_PATCHING),
    }
)
