"""What a run of the model shows: tokens, losses, patterns, activations, neurons."""

from analysis.definitions.quantity import Quantity

TOKENS = Quantity(
    "Tokens",
    "The pieces that a tokenizer cuts text into; the model sees their numbers and nothing else.",
    "ids = [BOS] + tokenizer(text); text = the pieces of the ids, one after the other",
    "ids from 0 to d_vocab - 1",
    "ARENA 1.2, section 1.3",
    function="tokenize",
    results=("Tokens",),
    code="result = tokens\nprint(tokenizer.convert_ids_to_tokens(tokens[0].tolist()))",
)
LOSS = Quantity(
    "Next-token loss",
    "How surprised the model is by each token that comes, averaged.",
    "loss = mean over i of -log p(token[i+1] | token[0..i])",
    "nats per token, 0 is perfect, ln(d_vocab) is a uniform guess",
    "ARENA 1.2, sections 1.2 and 1.4",
    function="next_token_stats",
    results=("NextTokenStats",),
    needs=("run",),
    code="result = -next_token_log_probs(logits).mean()",
)
HALF_LOSS = Quantity(
    "Loss on both halves of repeated tokens",
    "The first half is random; from its second token on, the second half can be copied.",
    "first = mean over entries 0..S-1, second = mean over entries S+1..2S-1; entry i scores "
    "token i+1, so entry S (the first repeated token, which nothing predicts) is in neither",
    "nats per token",
    "ARENA 1.2, section 2.5, with the unpredictable entry left out",
    function="next_token_stats",
    results=("NextTokenStats",),
    needs=("repeated", "run"),
    code="""
log_probs = next_token_log_probs(logits)
result = torch.stack([-log_probs[:, :S].mean(), -log_probs[:, scored].mean()])
""",
)
LOG_PROBS = Quantity(
    "Log-probability of each token",
    "How probable each token was to the model before it came.",
    "value[i] = log p(token[i+1] | token[0..i])",
    "nats, 0 is certain; less is less probable",
    "ARENA 1.2, sections 1.4 and 2.4",
    function="next_token_stats",
    results=("NextTokenStats",),
    needs=("run",),
    axes=("sequence",),
    code="result = next_token_log_probs(logits)  # [sequence, entry]",
)
MEAN_LOG_PROBS = Quantity(
    "Mean log-probability at each position",
    "How probable each token was to the model, averaged over sequences.",
    "value[i] = mean over sequences of log p(token[i+1] | token[0..i])",
    "nats, 0 is certain; less is less probable",
    "ARENA 1.2, section 2.4",
    function="next_token_stats",
    results=("NextTokenStats",),
    needs=("run",),
    code="result = next_token_log_probs(logits).mean(0)  # [entry]",
)
NEXT_TOKENS = Quantity(
    "Next-token probability",
    "What the model expects after the end of the text.",
    "p = softmax(logits[last position]), largest first",
    "probability, 0 to 1",
    "ARENA 1.2, section 1.4",
    function="next_token_stats",
    results=("NextTokenStats",),
    needs=("run",),
    axes=("sequence",),
    code="result = logits[:, -1].softmax(-1).topk(10).values  # [sequence, rank]",
)
PATTERN = Quantity(
    "Attention pattern",
    "How a head at the destination (query) spreads its attention over earlier sources (keys).",
    "pattern[dest, src] = softmax over src <= dest of q[dest] · k[src] * scale; scale is the "
    "model's own, 1/sqrt(d_head) in most",
    "0 to 1, every row sums to 1",
    "ARENA 1.2, sections 1.5 to 1.7",
    function="attention_patterns",
    results=("Patterns",),
    needs=("run", "pattern"),
    axes=("sequence", "layer", "head"),
    # A remark and no call: the program has to run where nothing of ours is installed.
    code="""
# In a notebook with `import headscope` this draws every head of the first sequence:
# headscope.show(pattern[0], tokenizer.convert_ids_to_tokens(tokens[0].tolist()))
result = pattern  # [sequence, layer, head, dest, src]
""",
)
PATTERN_TILES = Quantity(
    "Largest attention in a tile",
    "The largest attention of a head within a square of destinations and sources of a long text: a "
    "stripe one token wide stays as bright as it is.",
    "tile[i, j] = max of pattern[dest, src] over the destinations of tile i and the sources of "
    "tile j",
    "0 to 1; rows of tiles do not sum to 1",
    "max pooling; this project",
    function="pattern_tiles",
    results=("PatternTiles",),
    needs=("long", "run"),
    code="""
side = -(-tokens.shape[1] // MOST_TILES)
short = -tokens.shape[1] % side
tiles = []
for layer in range(n_layers):
    whole = cache[f"blocks.{layer}.attn.hook_pattern"][0]
    padded = torch.nn.functional.pad(whole, (0, short, 0, short))
    tiles.append(padded.unflatten(2, (-1, side)).unflatten(1, (-1, side)).amax((2, 4)))
result = torch.stack(tiles)  # [layer, head, dest tile, src tile]
""",
)
PATTERN_ROWS = Quantity(
    "Rows of a pattern",
    "How a head at some destinations of a long text spreads its attention over all of it.",
    "pattern[dest, src] as in a run of the whole text, of which no more than a few rows are there "
    "at once: keys and values of what came before are kept",
    "0 to 1, every row sums to 1",
    "ARENA 1.2, sections 1.5 to 1.7; Vaswani et al. 2017",
    function="pattern_rows",
    results=("PatternRows",),
    needs=("long", "run"),
    code="""
pattern = cache[f"blocks.{LAYER}.attn.hook_pattern"][0, HEAD]
result = pattern[: DEST + 1]  # [dest, src]
""",
)
PATTERN_CHECK = Quantity(
    "Pattern worked out by hand",
    "The attention pattern from queries and keys, to compare with the one the model used.",
    "softmax over src <= dest of q[dest] · k[src] * scale, with the model's own scale",
    "0 to 1; the difference should be rounding only, about 1e-6",
    "ARENA 1.2, section 1.6",
    function="verify_pattern",
    results=("PatternCheck",),
    needs=("run", "compared"),
    axes=("sequence", "head"),
    code="""
q, k = (torch.stack([compared(s, LAYER, h) for h in range(n_heads)], 1) for s in "qk")
scores = bent(q @ k.mT * SCALE)
ahead = torch.ones(scores.shape[-2:], dtype=bool).triu(1)
result = scores.masked_fill(ahead, -torch.inf).softmax(-1)  # [batch, head, dest, src]
print((result - cache[f"blocks.{LAYER}.attn.hook_pattern"]).abs().max())
""",
)
ACTIVATION = Quantity(
    "Activation",
    "A tensor that the model computes on the way from tokens to logits, read at a hook point.",
    'cache["q", 0] is short for cache["blocks.0.attn.hook_q"]; resid_post = resid_pre + attn_out '
    "+ mlp_out",
    "activation units; axes batch, pos, then head and d_head, d_model, d_mlp or d_vocab",
    "ARENA 1.2, section 1.5; TransformerLens naming",
    function="activation",
    results=(
        "Activation",
        "HookPoint",
    ),
    needs=("run",),
    code="""
result = cache[ACTIVATION][ROW]
if ACTIVATION.endswith("attn_scores") and torch.allclose(result.sum(-1), torch.ones(1)):
    # On this model the hook holds what softmax makes of the scores.
    attention = ACTIVATION.removesuffix("hook_attn_scores")
    q, k = (cache[f"{attention}hook_{part}"][ROW] for part in "qk")
    result = torch.einsum("qhe,khe->hqk", q, k) / d_head**0.5
if ONE_HEAD is not None:
    axis = 0 if ACTIVATION.endswith(("pattern", "attn_scores")) else 1
    shared = n_heads // result.shape[axis]  # query heads that read the same keys and values
    result = result.select(axis, ONE_HEAD // shared)
""",
)
NAMES = Quantity(
    "Names of activations and parameters",
    "Everything that can be read or changed by its name.",
    "one hook point for each activation; one name for each weight tensor",
    "numbers held by each tensor",
    "TransformerLens naming",
    function="hook_points",
    results=("HookPoint", "Parameter"),
    needs=("run",),
    code="""
for name, activation in cache.items():
    print(name, tuple(activation.shape))
result = torch.tensor([parameter.numel() for parameter in model.parameters()])
""",
)
PARAMETER = Quantity(
    "Parameter",
    "A weight that training has set; it is the same for every input.",
    "weights multiply on the right: new = old @ W, q = norm(resid_pre) @ W_Q + b_Q",
    "no unit",
    "ARENA 1.2, section 1.1; TransformerLens naming",
    function="parameters",
    results=("Parameter",),
    code="result = model.W_Q  # [layer, head, d_model, d_head]; likewise the others",
)
HEAD_WEIGHT = Quantity(
    "Weight of one head",
    "What a head multiplies the stream by for its queries, keys and values, and these by for what "
    "it writes.",
    "q = norm(resid_pre) @ W_Q + b_Q, likewise k and v; result = z @ W_O; W_Q, W_K and W_V are "
    "[d_model, d_head], W_O is [d_head, d_model]",
    "no unit",
    "ARENA 1.2, section 1.1; TransformerLens naming",
    function="head_weight",
    results=("HeadWeight",),
    code="""
every = getattr(model.blocks[LAYER].attn, WEIGHT)
result = every[HEAD * len(every) // n_heads]  # heads may share keys and values
""",
)
NEURON_ACTIVATION = Quantity(
    "Neuron activation",
    "How strongly a neuron of the MLP fires at a position.",
    "value[pos, neuron] = act(norm(resid_mid[pos]) · W_in[:, neuron] + b_in[neuron])",
    "activation units; with GELU about -0.17 upwards",
    "ARENA 1.2, section 1.7",
    function="neuron_activations",
    results=(
        "NeuronActivations",
        "NeuronPeaks",
    ),
    needs=("run", "neurons"),
    axes=("sequence", "pos", "neuron"),
    code='result = cache[f"blocks.{LAYER}.mlp.hook_post"]  # [sequence, pos, neuron]',
)
NEURON_PEAKS = Quantity(
    "Highest activation of a neuron",
    "How strongly each neuron fires at the token that it fires on most.",
    "value[layer, neuron] = max over positions behind BOS of the neuron's activation",
    "activation units",
    "Headscope",
    function="neuron_peaks",
    results=("NeuronPeaks",),
    needs=("run", "neurons"),
    axes=("every layer", "sequence"),
    code="""
first = int(tokens[0, 0] == tokenizer.bos_token_id)
fired = torch.stack([cache[f"blocks.{i}.mlp.hook_post"] for i in range(n_layers)])
result = fired[:, :, first:].amax(2)  # [layer, sequence, neuron]
""",
)
NEURON_TOKENS = Quantity(
    "Tokens a neuron promotes",
    "The tokens whose logits rise when the neuron fires, along the direct path.",
    "value[token] = W_out[neuron] · W_U[:, token], the final norm's weight folded in",
    "logits per unit of activation",
    "Geva et al. 2022",
    function="promoted_tokens",
    results=("TokenRanking",),
    needs=("neurons", "unembedding"),
    code="""
written = model.blocks[LAYER].mlp.W_out[NEURON]
if hasattr(model.blocks[LAYER], "ln2_post"):  # a norm after the MLP, its scale taken for 1
    written = written * gain(model.blocks[LAYER].ln2_post)
result = written @ W_U  # logits for one unit
""",
)
