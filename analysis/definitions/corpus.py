"""What heads do over a whole text."""

from analysis.definitions.quantity import Quantity

_SOURCE = "HeadVis 2025, and dashboards of sparse features"

CORPUS_WINDOWS = Quantity(
    "Maximum of a window",
    "How sharply a head attends, at most, to some token of a window that is not the first.",
    "maximum = max over q > 0, k > 0 of pattern[q, k]; edges of intervals = quantiles .2, .4, .6, "
    ".8 of the maxima of the first 32 windows in a random order; kept are the 10 windows with the "
    "largest maxima from the last edge on, and the first 3 of each interval below",
    "0 to 1",
    _SOURCE,
    function="corpus_scan",
    results=("CorpusScan",),
    needs=("text",),
    code="""
maxima = torch.stack([pattern[1:, 1:].max() for pattern in patterns(LAYER, HEAD)])
counts = torch.bincount((20 * maxima).long().clamp(max=19), minlength=20)
result = torch.cat([maxima, counts / len(maxima)])  # of each window; share of windows by bin
""",
)
CORPUS_VALUES = Quantity(
    "Value-weighted attention",
    "Attention times the length of what the head would write of that token: a token of which it "
    "writes nothing counts for nothing.",
    "value[q, k] = pattern[q, k] * |x_k W_V W_O|, without b_V; of a window, its maximum over "
    "q > 0, k > 0; of the first token, its share of the sum over q > 0",
    "length in the residual stream; the share is 0 to 1",
    "Kobayashi et al. 2020",
    function="corpus_scan",
    results=("CorpusScan",),
    needs=("text", "source_writes"),
    code="""
attention = model.blocks[LAYER].attn
name = f"blocks.{LAYER}.attn.hook_v"
written = torch.zeros(2, dtype=torch.float64)  # of all sources, of the first
for window, pattern in zip(windows, patterns(LAYER, HEAD)):
    _, cache = model.run_with_cache(window[None], names_filter=name)
    v = cache[name][0]  # [pos, key/value head, d_head]
    if attention.b_V is not None:
        v = v - attention.b_V.view(v.shape[1:])
    v = v[:, HEAD // (n_heads // v.shape[1])]
    values = pattern[1:] * (v @ attention.W_O[HEAD]).norm(dim=-1)
    written += torch.stack([values.sum(), values[:, 0].sum()])
result = written[1] / written[0]
""",
)
CORPUS_EFFECTS = Quantity(
    "Direct effect on the next token",
    "What the head itself adds to the logit of the token that really comes next.",
    "effect[q] = z[q] W_O · W_U[:, token[q+1]], through the final norm with its scale held fixed; "
    "of a window, its maximum",
    "logits",
    "ARENA 1.2, section 3.4",
    function="corpus_scan",
    results=("CorpusScan",),
    needs=("text", "source_effects"),
    code="""
names = [f"blocks.{LAYER}.attn.hook_z", "ln_final.hook_scale"]
largest = []
for window in windows:
    _, cache = model.run_with_cache(window[None], names_filter=lambda name: name in names)
    direction = model.W_U.T[window[1:]]
    if names[1] in cache.cache_dict:  # the final norm, with its scale held at what it was
        direction = direction * gain(model.ln_final)
        if model.cfg.normalization_type == "LN":
            direction = direction - direction.mean(-1, keepdim=True)
        direction = direction / cache[names[1]][0, :-1]
    write = cache[names[0]][0, :-1, HEAD] @ model.blocks[LAYER].attn.W_O[HEAD]
    largest.append((write * direction).sum(-1).max())
result = torch.stack(largest)  # [window]
""",
)
CORPUS_DISTANCES = Quantity(
    "Attention by distance on text",
    "How far back a head looks, over all windows of a text.",
    "share[bin] = sum over windows, q > 0 and k with q - k in the bin of pattern[q, k], over the "
    "number of queries; beside it the part with k = 0",
    "0 to 1; all bins sum to 1",
    "ARENA 1.2, section 2.8, in bins that double",
    function="corpus_scan",
    results=("CorpusScan",),
    needs=("text",),
    code="""
size = windows.shape[1]
distance = torch.arange(size)[:, None] - torch.arange(size)
# Bins 0, 1, 2, 3-4, 5-8, ...: by the power of two that a distance reaches.
bins = torch.where(distance > 0, (distance.clamp(1) - 1).float().log2().floor() + 2, 0.0)
bins[distance == 1], bins[distance < 0] = 1, -1
bins[0] = -1  # the first query has no choice
n_bins = int(bins.max()) + 1
whole = torch.zeros(2, n_bins, dtype=torch.float64)
for pattern in patterns(LAYER, HEAD):
    for index in range(n_bins):
        there = pattern * (bins == index)
        whole[:, index] += torch.stack([there.sum(), there[:, 0].sum()])
whole = whole / (len(windows) * (size - 1))
result = torch.stack([whole[0] - whole[1], whole[1]])  # [others or first token, bin]
""",
)
CORPUS_FIRST = Quantity(
    "Attention on the first token of a window",
    "How many queries rest on the first token, and how much.",
    "share = mean over windows and q > 0 of pattern[q, 0]; the histogram counts these queries",
    "0 to 1",
    "ARENA 1.2, section 2.2",
    function="corpus_scan",
    results=("CorpusScan",),
    needs=("text",),
    code="""
first = torch.cat([p[1:, 0] for p in patterns(LAYER, HEAD)])
counts = torch.bincount((20 * first).long().clamp(max=19), minlength=20)
result = torch.cat([first.mean()[None], counts / len(first)])  # mean, then share of queries by bin
""",
)
CORPUS_TOKENS = Quantity(
    "Attention by token",
    "Which tokens of a text get most of a head's attention, and from which tokens it looks at "
    "others than the first.",
    "at[t] = sum over windows, q > 0, k > 0 with token[k] = t of pattern[q, k]; from[t] = sum over "
    "q > 0 with token[q] = t of 1 - pattern[q, 0]; as shares of all such attention; over chance: "
    "times as much as a head of uniform attention",
    "0 to 1; over chance 1 is no preference",
    _SOURCE,
    function="corpus_scan",
    results=("CorpusScan",),
    needs=("text",),
    code="""
at, chance, n = torch.zeros(2, model.cfg.d_vocab), torch.zeros(2, model.cfg.d_vocab), len(windows)
size = windows.shape[1]
uniform = torch.ones(size, size).tril() / torch.arange(1, size + 1)[:, None]
for ids, pattern in zip(windows[:, 1:], patterns(LAYER, HEAD)):
    for total, rows in ((at, pattern), (chance, uniform)):
        total[0].index_add_(0, ids, rows[1:, 1:].sum(0))  # as a source
        total[1].index_add_(0, ids, 1 - rows[1:, 0])  # as a destination
shares, over = at / at.sum(-1, keepdim=True), at / chance
most = at.topk(50).indices
result = torch.stack([shares.gather(1, most), over.gather(1, most)])  # [which, at or from, rank]
""",
)
# Scores that are taken over a text, in the order of the code below: what came with the models holds
# these, whatever is added later.
ON_TEXT: tuple[str, ...] = ("current", "previous", "first", "duplicate", "induction")
CORPUS_SCORES = Quantity(
    "Scores on text",
    "The scores of a head over all windows of a text, beside those on random tokens repeated.",
    "score = sum over windows of the attention on the score's sources, over the number of "
    "destinations q > 0 that have such a source",
    "0 to 1",
    "Olsson et al. 2022; course and Headscope as the score",
    function="corpus_scan",
    results=("CorpusScan",),
    needs=("text",),
    code="""
copies = (windows[:, :, None] == windows[:, None, :]).tril(-1)
after = torch.zeros_like(copies)
after[:, :, 1:] = copies[:, :, :-1]
every = torch.ones(copies.shape[1:], dtype=bool)
first = torch.zeros_like(every)
first[:, 0] = True
itself, before = every.tril() & every.triu(), every.tril(-1) & every.triu(-1)
kinds = [itself, before, first, copies, after.tril(-1)]
found = torch.stack(list(patterns(LAYER, HEAD)))
uniform = every.float().tril() / torch.arange(1, len(every) + 1)[:, None]
scores = []
for sources in kinds:  # current, previous, first, duplicate, induction
    sources = sources.expand(found.shape)[:, 1:]
    counted = sources.any(-1).sum()
    for rows in (found, uniform.expand_as(found)):
        scores.append((rows[:, 1:] * sources).sum() / counted)
result = torch.stack(scores).view(-1, 2)  # [score, head or chance]
""",
)
