"""The parts that snippets begin with: the model, its input, a run, weights, a loss.

They are Python for a notebook with plain TransformerLens. Names in capitals are set by
`app.frame.snippets` from the view.
"""

BUNDLED = """
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge
from transformers import PreTrainedTokenizerFast

torch.set_grad_enabled(False)
MODELS = Path("models")  # Headscope's folder of models, in its repository
folder = MODELS / NAME
facts = json.loads((folder / "config.json").read_text())
tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
BOS = "<|endoftext|>"
tokenizer.add_special_tokens({"bos_token": BOS, "eos_token": BOS, "pad_token": BOS})
# Keeps TransformerLens from looking the tokenizer up on a hub.
tokenizer.init_kwargs.update(name_or_path="", add_bos_token=True)
sizes = ["n_layers", "n_heads", "d_model", "d_head", "n_ctx", "d_vocab"]
config = {size: facts[size] for size in sizes}
if facts["d_mlp"]:
    config["d_mlp"] = facts["d_mlp"]
config = TransformerBridgeConfig(
    **config,
    attn_only=not facts["d_mlp"],
    normalization_type=facts["normalization"],
    positional_embedding_type="standard",
    act_fn="gelu",
)
model = TransformerBridge.boot_native(config, tokenizer=tokenizer, device="cpu").eval()
model.load_state_dict(load_file(folder / WEIGHTS))
n_layers, n_heads, d_head = facts["n_layers"], facts["n_heads"], facts["d_head"]
"""

HUGGING_FACE = """
import numpy as np
import torch
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoModelForCausalLM, AutoTokenizer

torch.set_grad_enabled(False)
tokenizer = AutoTokenizer.from_pretrained(SOURCE, revision=REVISION)
if tokenizer.bos_token is None:  # what stands between documents takes its place
    tokenizer.bos_token = tokenizer.eos_token
inner = AutoModelForCausalLM.from_pretrained(
    SOURCE,
    revision=REVISION,
    dtype=torch.float32,
    use_safetensors=True,
    attn_implementation="eager",
)
inner.config.architectures = [type(inner).__name__]
model = TransformerBridge.boot_transformers(
    SOURCE, hf_model=inner, tokenizer=tokenizer, device="cpu", dtype=torch.float32
).eval()
n_layers, n_heads, d_head = model.cfg.n_layers, model.cfg.n_heads, model.cfg.d_head
"""

PROMPT = """
ids = tokenizer.encode(PROMPT, add_special_tokens=False)
tokens = torch.tensor([[tokenizer.bos_token_id] * PREPEND_BOS + ids])  # [batch, pos]
scored = slice(None)  # predictions that a loss is averaged over: entry i is of token i+1
"""

REPEATED = """
special = set(tokenizer.all_special_ids)
ordinary = np.array([i for i in range(len(tokenizer)) if i not in special])
rows = []
for index in range(BATCH):
    half = np.random.default_rng([SEED, index]).choice(ordinary, size=S, replace=False).tolist()
    rows.append([tokenizer.bos_token_id, *half, *half])
tokens = torch.tensor(rows)  # [batch, pos]
scored = slice(S + 1, 2 * S)  # predictions that a loss is averaged over: entry i is of token i+1
"""

# Prompts of one length; `ANSWERS` and `FOILS` are ids of tokens, `PLACES` positions by name.
SET = """
rows = [tokenizer.encode(text, add_special_tokens=False) for text in PROMPTS]
tokens = torch.tensor([[tokenizer.bos_token_id] * PREPEND_BOS + ids for ids in rows])
scored = slice(None)  # predictions that a loss is averaged over: entry i is of token i+1
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

LOSS = """
def loss(hooks=()):  # nats per token
    logits = model.run_with_hooks(tokens, fwd_hooks=list(hooks))
    return -next_token_log_probs(logits)[:, scored].mean()


def z_hook(layer):
    return f"blocks.{layer}.attn.hook_z"  # [batch, pos, head, d_head]
"""

# What a single sequence is set against, since it has no others.
REFERENCE = """
from pathlib import Path

# Ten stretches of a text that lies in Headscope's repository, as long as the prompt.
text = Path("analysis/effects/reference.txt").read_text("utf-8")
reference = torch.tensor(tokenizer.encode(text, add_special_tokens=False))
begins = int(tokens[0, 0] == tokenizer.bos_token_id)
at = torch.arange(10)[:, None] * len(reference) // 10 + torch.arange(tokens.shape[1] - begins)
stretches = torch.cat([tokens[:, :begins].expand(10, -1), reference[at % len(reference)]], 1)
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

WEIGHTS = """
W_E, W_pos, W_U = model.W_E, model.W_pos, model.W_U
W_Q, W_K, W_V, W_O = model.W_Q, model.W_K, model.W_V, model.W_O  # [layer, head, in, out]
b_Q, b_K = model.b_Q, model.b_K
"""

# The linear part of each LayerNorm belongs to the matrices that read the stream.
FOLDED_WEIGHTS = """
def centred(matrix, axis):
    return matrix - matrix.mean(axis, keepdim=True)


norms = [block.ln1.original_component for block in model.blocks]
gain = torch.stack([norm.weight for norm in norms])[:, None, :, None]
shift = torch.stack([norm.bias for norm in norms])
W_E, W_pos, W_O = centred(model.W_E, -1), centred(model.W_pos, -1), centred(model.W_O, -1)
W_Q, W_K, W_V = (centred(w * gain, -2) for w in (model.W_Q, model.W_K, model.W_V))
W_U = centred(model.W_U * model.ln_final.original_component.weight[:, None], -2)
b_Q = model.b_Q + torch.einsum("lm,lhmd->lhd", shift, model.W_Q)
b_K = model.b_K + torch.einsum("lm,lhmd->lhd", shift, model.W_K)
"""

# What heads read of each token, by the layer they are in.
EMBEDDING = """
def read_of_tokens(layer):  # [d_vocab, d_model]
    return W_E
"""

# Behind an MLP in block 0 that is the effective embedding.
EFFECTIVE_EMBEDDING = """
block = model.blocks[0]
behind = model.W_E + block.mlp(block.ln2(model.W_E[None]))[0]


def read_of_tokens(layer):  # [d_vocab, d_model]; behind block 0, with what its MLP makes of W_E
    return behind if layer else model.W_E
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

# What a head's queries and keys are made of. LayerNorm's scale is the one that each position had.
PARTS = """
writes = {
    "Embedding": cache["hook_embed"],
    "Positions": cache["hook_pos_embed"].expand_as(cache["hook_embed"]),
}
constant = torch.zeros_like(cache["hook_embed"])
for layer in range(LAYER):
    z = cache[f"blocks.{layer}.attn.hook_z"]
    for head in range(n_heads):
        writes[f"L{layer}H{head}"] = z[:, :, head] @ model.W_O[layer, head]
    constant = constant + model.blocks[layer].attn.b_O
    if facts["d_mlp"]:
        writes[f"MLP{layer}"] = cache[f"blocks.{layer}.hook_mlp_out"]
scale = cache[f"blocks.{LAYER}.ln1.hook_scale"] if facts["normalization"] else 1
queries = {name: write / scale @ W_Q[LAYER, HEAD] for name, write in writes.items()}
keys = {name: write / scale @ W_K[LAYER, HEAD] for name, write in writes.items()}
biases = constant / scale @ W_Q[LAYER, HEAD] + b_Q[LAYER, HEAD]
biases_of_keys = constant / scale @ W_K[LAYER, HEAD] + b_K[LAYER, HEAD]
if max(constant.abs().max(), biases.abs().max(), biases_of_keys.abs().max()) > 0:
    queries["Biases"], keys["Biases"] = biases, biases_of_keys
"""

TARGETS = """
if ANSWER is not None:  # that token at every position
    targets = torch.full_like(tokens, ANSWER)
else:  # the token that really comes next, and after the end the model's own top guess
    targets = torch.cat([tokens[:, 1:], logits[:, -1:].argmax(-1)], 1)
direction = model.W_U.T[targets]  # what a write is multiplied by to give logits
if FOIL is not None:
    direction = direction - model.W_U.T[FOIL]
n_pos = targets.shape[1]
constant = torch.zeros(targets.shape)
"""

# LayerNorm with its scale held fixed: centring the stream is centring the direction.
NORMED_TARGETS = """
norm = model.ln_final.original_component
constant = constant + direction @ norm.bias
direction = direction * norm.weight
direction = direction - direction.mean(-1, keepdim=True)
direction = direction / cache["ln_final.hook_scale"][:, :n_pos]
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


def writes_of(z, layer):  # [batch, pos, head, d_model]
    return torch.einsum("bphe,hem->bphm", z, model.W_O[layer])


def reads_of(stream, layer, part, head):  # [batch, pos, d_head]
    if facts["normalization"]:
        stream = model.blocks[layer].ln1.original_component(stream)
    weights, biases = getattr(model, f"W_{part.upper()}"), getattr(model, f"b_{part.upper()}")
    return stream @ weights[layer, head] + biases[layer, head]


changes = {}
for layer in range(n_layers):
    z = cache[z_hook(layer)]
    for head, change in enumerate(writes_of(cut(z, layer) - z, layer).unbind(2)):
        changes[layer, head] = change
edges = {}  # (layer and head that write, layer, head and part that read): nats
for writer in changes:
    edges[writer, "logits"] = float((changes[writer] * slopes[names[-1]]).sum())
for layer in range(1, n_layers):
    for part in "qkv":
        for head in range(n_heads):
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
