"""The parts that snippets begin with, once they have a model: its input, a run, weights, a loss.

They are Python for a notebook with plain TransformerLens. Names in capitals are set by
`app.frame.snippets` from the view.
"""

PROMPT = """
ids = tokenizer.encode(PROMPT, add_special_tokens=False)
tokens = torch.tensor([[tokenizer.bos_token_id] * PREPEND_BOS + ids])  # [batch, pos]
scored = slice(None)  # predictions that a loss is averaged over: entry i is of token i+1
"""

# The tokenizer as it was saved, as a template may ask whether it has a BOS token.
CONVERSATION = """
as_saved = AutoTokenizer.from_pretrained(source, revision=REVISION)
text = as_saved.apply_chat_template(
    CONVERSATION,
    tokenize=False,
    add_generation_prompt=not OPEN_END,
    continue_final_message=OPEN_END,
)
tokens = torch.tensor([as_saved.encode(text, add_special_tokens=False)])  # [batch, pos]
scored = slice(None)  # predictions that a loss is averaged over: entry i is of token i+1
"""
CONVERSATION_BOS = """
BEHIND_BOS = tokens[0, 0] == as_saved.bos_token_id  # whether the template begins with it
"""

REPEATED = """
apart = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
known = sorted(tokenizer.get_vocab().values())
ordinary = np.array([i for i in known if i not in apart and i < model.cfg.d_vocab])
rows = []
for index in range(BATCH):
    half = np.random.default_rng([SEED, index]).choice(ordinary, size=S, replace=False).tolist()
    rows.append([tokenizer.bos_token_id, *half, *half])
tokens = torch.tensor(rows)  # [batch, pos]
scored = slice(S + 1, 2 * S)  # predictions that a loss is averaged over: entry i is of token i+1
"""

# A text by windows: `patterns` runs one after the other and keeps the pattern of one head.
TEXT = """
from pathlib import Path

text = Path(TEXT_FILE).read_text("utf-8")
ids = tokenizer.encode(text, add_special_tokens=False)[:MOST_TOKENS]
body = min(WINDOW - HAS_BOS, len(ids))
starts = range(0, len(ids) - body + 1, body)
windows = torch.tensor([[tokenizer.bos_token_id] * HAS_BOS + ids[at : at + body] for at in starts])


def patterns(layer, head):  # [dest, src] of each window
    name = f"blocks.{layer}.attn.hook_pattern"
    for window in windows:
        _, cache = model.run_with_cache(window[None], names_filter=name)
        yield cache[name][0, head]
"""

# The first tokens of a long text, one's own or one in a file.
LONG = """
from pathlib import Path

text = LONG_TEXT or Path(TEXT_FILE).read_text("utf-8")[:MOST_CHARACTERS]
ids = tokenizer.encode(text, add_special_tokens=False)
tokens = torch.tensor([([tokenizer.bos_token_id] * PREPEND_BOS + ids)[:LENGTH]])  # [batch, pos]
scored = slice(None)
"""

_LOG_PROBS = """

def next_token_log_probs(logits):  # [batch, entry]; entry i scores token i+1
    return logits[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]
"""

RUN = (
    """
logits, cache = model.run_with_cache(tokens)
"""
    + _LOG_PROBS
)

# The same with some heads replaced by zero.
RUN_WITHOUT = (
    """
def silence(layer, head):
    def hook(z, hook):
        z = z.clone()
        z[:, :, head] = 0
        return z

    return f"blocks.{layer}.attn.hook_z", hook


with model.hooks(fwd_hooks=[silence(*head) for head in WITHOUT]):
    logits, cache = model.run_with_cache(tokens)
"""
    + _LOG_PROBS
)

PATTERN = """
# [batch, layer, head, dest, src]
pattern = torch.stack([cache[f"blocks.{i}.attn.hook_pattern"] for i in range(n_layers)], 1)
"""

# On which sources a score counts attention; the rest is the same for all.
SCORE = """
earlier_copies = (tokens[:, :, None] == tokens[:, None, :]).tril(-1)  # [batch, dest, src]


def attention_on(sources):  # mean over the destinations that have such a source
    attention = (pattern * sources[:, None, None]).sum((-1, -2))
    return (attention / sources.any(-1).sum(-1)[:, None, None]).nanmean(0)  # [layer, head]
"""

Z_HOOK = """
def z_hook(layer):
    return f"blocks.{layer}.attn.hook_z"  # [batch, pos, head, d_head]
"""

LOSS = (
    """
def loss(hooks=()):  # nats per token
    logits = model.run_with_hooks(tokens, fwd_hooks=list(hooks))
    return -next_token_log_probs(logits)[:, scored].mean()

"""
    + Z_HOOK
)

# What a single sequence is set against, since it has no others.
REFERENCE = """
from pathlib import Path

# Ten stretches of a text that lies in Headscope's repository, as long as the prompt.
text = Path("analysis/effects/reference.txt").read_text("utf-8")
reference = torch.tensor(tokenizer.encode(text, add_special_tokens=False))
begins = int(tokens[0, 0] == tokenizer.bos_token_id)
length = tokens.shape[1]{more}
at = torch.arange(10)[:, None] * len(reference) // 10 + torch.arange(length - begins)
stretches = torch.cat([tokens[:1, :begins].expand(10, -1), reference[at % len(reference)]], 1)
_, elsewhere = model.run_with_cache(
    stretches, names_filter=lambda name: name.endswith(("hook_z", "hook_v"))
)
"""

# By what an ablated head's output is replaced, and whether the input is a single sequence.
REPLACEMENTS = {
    ("zero", False): """
def replacement(z, layer):
    return torch.zeros_like(z)
""",
    ("mean", False): """
def replacement(z, layer):
    return z.mean(0, keepdim=True).expand_as(z)  # over sequences, at each position
""",
    ("resample", False): """
def replacement(z, layer):  # z in another sequence of the batch
    circle = np.random.default_rng(SWAP).permutation(len(z))
    source = np.empty_like(circle)
    source[circle] = np.roll(circle, 1)
    return z[torch.from_numpy(source)]
""",
    ("mean", True): """
def replacement(z, layer):
    return elsewhere[z_hook(layer)].mean(0, keepdim=True)  # over the stretches, at each position
""",
    ("resample", True): """
def replacement(z, layer):  # z in one of the stretches
    one = int(np.random.default_rng(SWAP).integers(10))
    return elsewhere[z_hook(layer)][one : one + 1]
""",
}
REPLACEMENTS["zero", True] = REPLACEMENTS["zero", False]

# What an edge that is cut carries, by whether the input is a single sequence.
CUTS = {
    False: """
def cut(z, layer):  # what an edge that is cut carries: the mean over sequences, at each position
    return z.mean(0, keepdim=True).expand_as(z)
""",
    True: """
def cut(z, layer):  # what an edge that is cut carries: the mean over the stretches
    return elsewhere[z_hook(layer)].mean(0, keepdim=True)
""",
}

# What values say at each position whatever the input, by whether that is a single sequence.
USUAL = {
    False: """
def usual(name):  # the mean over sequences, at each position
    return cache[name].mean(0)
""",
    True: """
def usual(name):  # the mean over the stretches, at each position
    return elsewhere[name].mean(0)
""",
}

ABLATE = """
def ablated(heads):  # hooks that replace z of these heads, each given as (layer, head)
    def hook_of(layer, some):
        def replace(z, hook):
            new = z.clone()
            new[:, :, some] = replacement(cache[z_hook(layer)], layer)[:, :, some]
            return new

        return z_hook(layer), replace

    layers = sorted({layer for layer, _ in heads})
    return [hook_of(layer, [h for at, h in heads if at == layer]) for layer in layers]
"""

# What a norm multiplies by.
GAIN = """
def gain(norm):
    return norm.original_component.weight
"""
OFFSET_GAIN = """
def gain(norm):  # Gemma keeps it as the difference from 1
    weight = norm.original_component.weight
    return 1 + weight if norm.uses_weight_offset else weight
"""

# Matrices of single heads, as they are.
MATRICES = """
def matrix(part, layer, head):  # W_Q, W_K or W_V; heads of a group share keys and values
    each = getattr(model.blocks[layer].attn, f"W_{part}")
    return each[head * len(each) // n_heads]
"""

WEIGHTS = """
def stacked(name):  # [layer, head, ...]; heads of a group have a copy of their keys and values each
    each = torch.stack([getattr(block.attn, name) for block in model.blocks])
    return each.repeat_interleave(n_heads // each.shape[1], 1)


W_E = model.W_E
W_Q, W_K, W_V, W_O = (stacked(f"W_{part}") for part in "QKVO")
"""
# What Gemma multiplies its embeddings by.
EMBED_SCALE = """
W_E = W_E * getattr(model.embed.original_component, "embed_scale", 1)
"""
# Where a norm follows the heads' sum, its weight belongs to what they write.
POST_NORM_WEIGHTS = """
W_O = W_O * torch.stack([gain(block.ln1_post) for block in model.blocks])[:, None, None]
"""
# The linear part of each norm belongs to the matrices that read the stream.
FOLDED = {
    None: "",
    "RMS": """
gains = torch.stack([gain(block.ln1) for block in model.blocks])[:, None, :, None]
W_Q, W_K, W_V = W_Q * gains, W_K * gains, W_V * gains
""",
    "LN": """
def centred(matrix, axis):
    return matrix - matrix.mean(axis, keepdim=True)


gains = torch.stack([gain(block.ln1) for block in model.blocks])[:, None, :, None]
W_E, W_O = centred(W_E, -1), centred(W_O, -1)
W_Q, W_K, W_V = (centred(w * gains, -2) for w in (W_Q, W_K, W_V))
""",
}

UNEMBEDDINGS = {
    None: """
W_U = model.W_U
""",
    "RMS": """
W_U = model.W_U * gain(model.ln_final)[:, None]  # with the linear part of the final norm
""",
    "LN": """
W_U = model.W_U * gain(model.ln_final)[:, None]  # with the linear part of the final norm
W_U = W_U - W_U.mean(0)
""",
}

# What heads read of each token, by the layer they are in.
EMBEDDING = """
def read_of_tokens(layer):  # [d_vocab, d_model]
    return W_E
"""

# Behind an MLP in block 0 that is the effective embedding.
EFFECTIVE_EMBEDDING = """
block = model.blocks[0]
bare = model.W_E * getattr(model.embed.original_component, "embed_scale", 1)
behind = []
for rows in bare.split(4096):  # some tokens at a time
    written = block.mlp({normed})[0]
    behind.append(rows + {written})
behind = torch.cat(behind)


def read_of_tokens(layer):  # [d_vocab, d_model]; behind block 0, with what its MLP makes of W_E
    return behind if layer else bare
"""

# Where sharpness counts, what a head reads passes its norm, with its scale, by itself.
NORM = """
def norm(layer, vectors):  # this model has none
    return vectors
"""

THROUGH_NORM = """
def norm(layer, vectors):  # as heads of a layer get vectors when nothing else is in the stream
    return model.blocks[layer].ln1.original_component(vectors)
"""

# What heads write to the stream.
WRITES = """
def writes_of(layer, cache, z=None):  # by heads, to the stream: [batch, pos, head, d_model]
    z = cache[f"blocks.{layer}.attn.hook_z"] if z is None else z
    return torch.einsum("bphe,hem->bphm", z, model.blocks[layer].attn.W_O)


def bias_write(layer, cache):  # and what the bias of all heads adds
    bias = model.blocks[layer].attn.b_O
    return torch.zeros(model.cfg.d_model) if bias is None else bias


def read_by_head(layer, head, direction, cache):  # the same direction as the head's values meet it
    return direction @ model.blocks[layer].attn.W_O[head].T
"""
# The same where a norm follows the heads' sum.
POST_NORM_WRITES = """
def after_heads(layer, cache, written):  # the norm after the heads, its scale held fixed
    scale = cache[f"blocks.{layer}.ln1_post.hook_scale"][:, : written.shape[1]]
    scale = scale if written.ndim == 3 else scale[:, :, None]
    return written / scale * gain(model.blocks[layer].ln1_post)


def writes_of(layer, cache, z=None):  # by heads, to the stream: [batch, pos, head, d_model]
    z = cache[f"blocks.{layer}.attn.hook_z"] if z is None else z
    written = torch.einsum("bphe,hem->bphm", z, model.blocks[layer].attn.W_O)
    return after_heads(layer, cache, written)


def bias_write(layer, cache):  # and what the bias of all heads adds
    bias = model.blocks[layer].attn.b_O
    bias = torch.zeros(model.cfg.d_model) if bias is None else bias
    return after_heads(layer, cache, bias.expand_as(cache["hook_embed"]))


def read_by_head(layer, head, direction, cache):  # the same direction as the head's values meet it
    return after_heads(layer, cache, direction) @ model.blocks[layer].attn.W_O[head].T
"""

# What heads read of a stream.
READS = """
def readers_of(part):  # heads of a group share keys and values
    return len(getattr(model.blocks[0].attn, f"W_{part.upper()}"))


def reads_of(stream, layer, part, head):  # [batch, pos, d_head]
    weights, biases = (getattr(model.blocks[layer].attn, f"{x}_{part.upper()}") for x in "Wb")
    read = norm(layer, stream) @ weights[head]
    return read if biases is None else read + biases.view(len(weights), -1)[head]
"""
# The same where only queries and keys see the positions.
PLACED_READS = """
def readers_of(part):
    return n_heads


def reads_of(stream, layer, part, head):  # [batch, pos, d_head]
    weights, biases = (getattr(model.blocks[layer].attn, f"{x}_{part.upper()}") for x in "Wb")
    seen = norm(layer, stream)
    if part in "qk":
        seen = seen + model.W_pos[: stream.shape[1]]
    return seen @ weights[head] + biases[head]
"""

# Queries and keys as they meet: their product, times a scale, is the score.
COMPARED = """
def compared(side, layer, head, vectors=None):  # [batch, pos, d_head]
    own = cache[f"blocks.{layer}.attn.hook_{side}"]
    own = own[:, :, head * own.shape[2] // n_heads]  # heads of a group share keys
    return own if vectors is None else vectors
"""
# The same where they are normed, or turned by their positions.
TURNED = """
def compared(side, layer, head, vectors=None):  # [batch, pos, d_head]
    attention = f"blocks.{layer}.attn"
    own = cache[f"{attention}.hook_{side}"]
    shared = head * own.shape[2] // n_heads  # heads of a group share keys
    vectors = own[:, :, shared] if vectors is None else vectors
    norm = getattr(model.blocks[layer].attn, f"{side}_norm", None)
    if norm is not None:  # its scale is the one that the whole had
        scale = cache[f"{attention}.{side}_norm.hook_scale"][:, shared]
        vectors = vectors / scale * gain(norm)
    if f"{attention}.hook_cos" not in cache.keys():
        return vectors
    cos, sin = cache[f"{attention}.hook_cos"], cache[f"{attention}.hook_sin"]
    turning, rest = vectors[..., : cos.shape[-1]], vectors[..., cos.shape[-1] :]
    first, second = turning.chunk(2, -1)
    return torch.cat([turning * cos + torch.cat([-second, first], -1) * sin, rest], -1)
"""
BENT = {
    False: """
def bent(scores):  # this model leaves its scores as they are
    return scores
""",
    True: """
def bent(scores):  # below the size that the model caps its scores at
    cap = model.blocks[LAYER].attn.original_component.attn_logit_softcapping
    return cap * (scores / cap).tanh()
""",
}

# What a head's queries and keys are made of. A norm's scale is the one that each position had.
PARTS = """
def compared_part(side, write):  # of a component's write, [batch, pos, d_head]
    W = W_Q if side == "q" else W_K
    return compared(side, LAYER, HEAD, write / scale @ W[LAYER, HEAD])


def bias_of(side):
    each = getattr(model.blocks[LAYER].attn, f"b_{{side.upper()}}")
    bias = torch.zeros(d_head)
    if each is not None:
        each = each.view(-1, d_head)
        bias = each[HEAD * len(each) // n_heads]
{shift}
    return bias


scale = {scale}
writes = {{"Embedding": cache["hook_embed"]}}
{positions}
constant = torch.zeros_like(cache["hook_embed"])
for layer in range(LAYER):
    for head, write in enumerate(writes_of(layer, cache).unbind(2)):
        writes[f"L{{layer}}H{{head}}"] = write
    constant = constant + bias_write(layer, cache)
    if f"blocks.{{layer}}.hook_mlp_out" in cache.keys():
        writes[f"MLP{{layer}}"] = cache[f"blocks.{{layer}}.hook_mlp_out"]
queries = {{name: compared_part("q", write) for name, write in writes.items()}}
keys = {{name: compared_part("k", write) for name, write in writes.items()}}
of_queries = constant / scale @ W_Q[LAYER, HEAD] + bias_of("q")
of_keys = constant / scale @ W_K[LAYER, HEAD] + bias_of("k")
if max(each.abs().max() for each in (constant, of_queries, of_keys)) > 0:
    queries["Biases"] = compared("q", LAYER, HEAD, of_queries)
    keys["Biases"] = compared("k", LAYER, HEAD, of_keys)
"""
PARTS_POSITIONS = {
    "learned": """
writes["Positions"] = cache["hook_pos_embed"].expand_as(cache["hook_embed"])
""",
    "shortformer": """
# Only queries and keys see them.
writes["Positions"] = model.W_pos[: tokens.shape[1]].expand_as(cache["hook_embed"])
""",
}
# What a LayerNorm's own bias adds to queries and keys.
PARTS_SHIFT = """
    shift = model.blocks[LAYER].ln1.original_component.bias
    bias = bias + shift @ matrix(side.upper(), LAYER, HEAD)"""

TARGETS = """
if ANSWER is not None:  # that token at every position
    targets = torch.full_like(tokens, ANSWER)
else:  # the token that really comes next, and after the end the model's own top guess
    targets = torch.cat([tokens[:, 1:], {logits}[:, -1:].argmax(-1)], 1)
direction = model.W_U.T[targets]  # what a write is multiplied by to give logits
if FOIL is not None:
    direction = direction - model.W_U.T[FOIL]
n_pos = targets.shape[1]
constant = torch.zeros(targets.shape)
"""

# A norm with its scale held fixed; for LayerNorm, centring the stream is centring the direction.
NORMED_TARGETS = {
    None: "",
    "RMS": """
direction = direction * gain(model.ln_final)
direction = direction / cache["ln_final.hook_scale"][:, :n_pos]
""",
    "LN": """
constant = constant + direction @ model.ln_final.original_component.bias
direction = direction * gain(model.ln_final)
direction = direction - direction.mean(-1, keepdim=True)
direction = direction / cache["ln_final.hook_scale"][:, :n_pos]
""",
}

# How the model reads its logits from a stream.
READOUT = """
def logits_of(stream):
    logits = {stream} @ model.W_U + model.b_U
    cap = model.cfg.output_logits_soft_cap  # Gemma 2 bends its logits; others have no cap
    return cap * (logits / cap).tanh() if cap and cap > 0 else logits
"""

# Two prompts of the same length; the quantity is the logit difference at the last position.
PAIR = """
def encode(text):
    ids = tokenizer.encode(text, add_special_tokens=False)
    return torch.tensor([[tokenizer.bos_token_id] * PREPEND_BOS + ids])


def difference(logits):
    return (logits[:, -1, ANSWER] - logits[:, -1, FOIL]).mean()


clean, corrupt = encode(CLEAN), encode(CORRUPT)
clean_logits, clean_cache = model.run_with_cache(clean)
corrupt_logits, corrupt_cache = model.run_with_cache(corrupt)
m_clean, m_corrupt = difference(clean_logits), difference(corrupt_logits)
# Shares of the difference; where it is small or of the wrong sign, logits.
whole = m_clean - m_corrupt if m_clean - m_corrupt >= 0.1 else torch.tensor(1.0)
"""

# Edges of the clean run, which carry what the corrupt prompt wrote where they are cut.
BETWEEN = """
tokens, cache = clean, clean_cache


def z_hook(layer):
    return f"blocks.{layer}.attn.hook_z"  # [batch, pos, head, d_head]


def cut(z, layer):  # what an edge that is cut carries
    return corrupt_cache[z_hook(layer)]


def loss(hooks=()):  # what is lost: minus the logit difference
    return -difference(model.run_with_hooks(clean, fwd_hooks=list(hooks)))
"""

# Which activation is exchanged, and which of its axes is that of heads, or of positions.
PATCHED = """
def hook_name(layer):
    stream = PATCH in ("resid_pre", "attn_out", "mlp_out")
    return f"blocks.{layer}.{'' if stream else 'attn.'}hook_{PATCH}"


AXIS = 2 if PATCH in ("z", "q", "k", "v") else 1
"""

EDGES = """
# What replacing each head's z adds to the stream, and what the loss makes of the stream as each
# reader sees it: the query, key or value of a later head, or the logits.
names = [f"blocks.{i}.attn.hook_{part}" for i in range(n_layers) for part in "qkv"]
names.append(f"blocks.{n_layers - 1}.hook_resid_post")
seen = {}


def note(name):
    def hook(activation, hook):
        seen[name] = activation.clone()  # the one that the rest of the run is computed from
        return seen[name]

    return name, hook


with torch.enable_grad():
    found = torch.autograd.grad(loss([note(name) for name in names]), [seen[n] for n in names])
slopes = dict(zip(names, found))


changes = {}
for layer in range(n_layers):
    z = cache[z_hook(layer)]
    for head, change in enumerate(writes_of(layer, cache, cut(z, layer) - z).unbind(2)):
        changes[layer, head] = change
edges = {}  # (layer and head that write, layer, head and part that read): nats
for writer in changes:
    edges[writer, "logits"] = float((changes[writer] * slopes[names[-1]]).sum())
for layer in range(1, n_layers):
    for part in "qkv":
        for head in range(readers_of(part)):
            with torch.enable_grad():
                stream = cache[f"blocks.{layer}.hook_resid_pre"].clone().requires_grad_()
                read = reads_of(stream, layer, part, head)
                after = slopes[f"blocks.{layer}.attn.hook_{part}"][:, :, head]
                (before,) = torch.autograd.grad(read, stream, after)
            for writer in changes:
                if writer[0] < layer:
                    reader = (layer, head, part)
                    edges[writer, reader] = float((changes[writer] * before).sum())
"""

# Hooks for a run in which edges are cut, apart from some, and what some heads write is replaced for
# MLPs too.
KEPT_EDGES = """
def cut_hooks(kept, out=()):  # (writer, reader) that are kept; heads that are replaced altogether
    streams, gone, changed, scales = {}, {}, {}, {}

    def own_stream(reader, layer):
        cut_off = [gone[writer] for writer in gone if (writer, reader) not in kept]
        return streams[layer] + sum(cut_off)

    def note_stream(layer):
        def hook(stream, hook):
            streams[layer] = stream

        return f"blocks.{layer}.hook_resid_pre", hook

    def read_again(layer, part):
        def hook(activation, hook):
            readers = [(layer, head, part) for head in range(readers_of(part))]
            read = [reads_of(own_stream(r, layer), layer, part, r[1]) for r in readers]
            return torch.stack(read, 2)

        return f"blocks.{layer}.attn.hook_{part}", hook

    def note_writes(layer):
        replaced = [head for at, head in out if at == layer]

        def hook(z, hook):
            instead = cut(cache[z_hook(layer)], layer)
            z = z.clone()
            z[:, :, replaced] = instead[:, :, replaced]
            changed[layer] = instead - z
            return z

        return z_hook(layer), hook

    def note_output(layer):
        def hook(written, hook):
            writes = writes_of(layer, scales, changed.pop(layer))
            gone.update({(layer, head): write for head, write in enumerate(writes.unbind(2))})

        return f"blocks.{layer}.hook_attn_out", hook

    def note_scale(layer):  # of a norm that follows the heads' sum
        def hook(scale, hook):
            scales[name] = scale

        name = f"blocks.{layer}.ln1_post.hook_scale"
        return name, hook

    def read_logits(stream, hook):
        streams[n_layers] = stream
        return own_stream("logits", n_layers)

    hooks = []
    for layer in range(n_layers):
        hooks += [note_stream(layer), *(read_again(layer, part) for part in "qkv" if layer)]
        hooks += [note_writes(layer), note_output(layer)]
        if hasattr(model.blocks[layer], "ln1_post"):
            hooks.append(note_scale(layer))
    return [*hooks, (f"blocks.{n_layers - 1}.hook_resid_post", read_logits)]
"""

# How far an answer is ahead of a foil after the end of a text, without some heads.
ANSWERED = """
def left_without(heads):  # logit difference at the end; heads as (layer, head)
    def hook_of(layer):
        gone = [head for at, head in heads if at == layer]

        def silence(z, hook):
            z = z.clone()
            z[:, :, gone] = 0
            return z

        return f"blocks.{layer}.attn.hook_z", silence

    hooks = [hook_of(layer) for layer in sorted({at for at, _ in heads})]
    end = model.run_with_hooks(tokens[ROW : ROW + 1], fwd_hooks=hooks)[0, -1]
    return end[ANSWER] - end[FOIL]
"""

# The step of a recipe that needs the reference text.
RECIPE_SWAP = """    if kind == "swap":  # z of the reference text in its place
        head, method = at
        others = elsewhere[f"blocks.{layer}.attn.hook_z"][:, : activation.shape[1], head]
        one = int(np.random.default_rng(SWAP).integers(10))
        activation[:, :, head] = others.mean(0) if method == "mean" else others[one]"""

# One prompt as it is and with a recipe; `RECIPE` lists steps as (kind, layer, ...).
RECIPE = """
tokens = tokens[ROW : ROW + 1]
encoded = tokenizer.encode(SECOND_PROMPT, add_special_tokens=False)
second = torch.tensor([[tokenizer.bos_token_id] * PREPEND_BOS + encoded])
clean, clean_cache = model.run_with_cache(tokens)
if any(kind in ("borrow", "patch", "steer") for kind, *_ in RECIPE):
    _, second_cache = model.run_with_cache(second)


def change(kind, layer, at, activation):  # one step, in place
    if kind == "dial":  # the head's z times a factor
        head, factor = at
        activation[:, :, head] *= factor
    if kind == "push":  # what the head writes from src, at every position behind BOS
        head, src, factor = at
        values = clean_cache[f"blocks.{{layer}}.attn.hook_v"][:, src]
        value = values[:, head * values.shape[1] // n_heads]  # heads may share their values
        activation[:, int(BEHIND_BOS) :, head] += factor * value
    if kind == "look":  # from dest at src alone
        head, dest, src = at
        activation[:, head, dest] = 0
        activation[:, head, dest, src] = 1
    if kind == "weigh":
        head, dest, src, weight = at
        activation[:, head, dest, src] = weight
    if kind == "borrow":  # the pattern of the second prompt
        borrowed = second_cache[f"blocks.{{layer}}.attn.hook_pattern"][:, at[0]]
        n = borrowed.shape[-1]
        activation[:, at[0], :n, :n] = borrowed
    if kind == "fire":
        neuron, value = at
        activation[..., neuron] = value
    if kind == "patch":  # the stream of the second prompt
        activation[:, at[0]] = second_cache[f"blocks.{{layer}}.hook_resid_pre"][:, at[0]]
    if kind == "steer":  # at every position behind BOS
        name = f"blocks.{{layer}}.hook_resid_pre"
        apart = second_cache[name][:, -1] - clean_cache[name][:, -1]
        activation[:, int(BEHIND_BOS) :] += at[0] * apart[:, None]
{swap}

POINTS = {{"fire": "mlp.hook_post"}} | dict.fromkeys(("dial", "swap", "push"), "attn.hook_z")
POINTS |= dict.fromkeys(("look", "weigh", "borrow"), "attn.hook_pattern")
POINTS |= dict.fromkeys(("patch", "steer"), "hook_resid_pre")


def hook_of(kind, layer, *at):
    def edit(activation, hook):
        activation = activation.clone()
        change(kind, layer, at, activation)
        return activation

    return f"blocks.{{layer}}.{{POINTS[kind]}}", edit


with model.hooks(fwd_hooks=[hook_of(*step) for step in RECIPE]):
    edited, edited_cache = model.run_with_cache(tokens)
"""

# What is written behind the prompt of a recipe, which acts on both, or on one of them.
WRITE = """
OF_PROMPT = ("look", "weigh", "borrow", "patch")  # steps that name positions
end = tokens.shape[1]
WHERE = {"both": slice(None), "prompt": slice(end), "written": slice(end, None)}
steps = [step for step in RECIPE if ACTS != "written" or step[0] not in OF_PROMPT]


def hook_within(kind, *at):
    point, edit = hook_of(kind, *at)

    def act(activation, hook):
        edited = edit(activation, hook)
        if kind in OF_PROMPT:
            return edited
        new = activation.clone()
        new[:, WHERE[ACTS]] = edited[:, WHERE[ACTS]]
        return new

    return point, act


def last_logits(text, steps):
    with model.hooks(fwd_hooks=[hook_within(*step) for step in steps]):
        return model(text)[0, -1]


def next_token(logits, drawn):
    if TEMPERATURE == 0:
        return int(logits.argmax())
    shares = (logits.double() / TEMPERATURE).softmax(-1).cumsum(-1)
    return min(int(torch.searchsorted(shares, drawn)), len(logits) - 1)


def write(steps):  # the text, and how likely each new token was without the steps and with them
    text, probs = tokens, []
    for drawn in np.random.default_rng([SEED, 2]).random(NEW_TOKENS):
        before, after = last_logits(text, []), last_logits(text, steps)
        new = next_token(after, drawn)
        probs.append((before.softmax(-1)[new], after.softmax(-1)[new]))
        text = torch.cat([text, torch.tensor([[new]])], 1)
        if new == tokenizer.eos_token_id:
            break
    return text, torch.tensor(probs).reshape(-1, 2).T


for recipe in ([], steps):
    print(tokenizer.decode(write(recipe)[0][0, end:]))
"""
