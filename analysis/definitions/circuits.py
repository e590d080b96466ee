"""What the weights alone say: circuits of single heads and how heads compose."""

from analysis.definitions.quantity import Quantity

OV_CIRCUIT = Quantity(
    "OV circuit",
    "What attending to one token adds to the logit of every other: what the head moves.",
    "value[t, u] = (W_E W_V W_O W_U)[t, u], summed over heads when several are taken jointly; "
    "behind an MLP in block 0, W_E as that leaves it (the effective embedding)",
    "logits; biases left out",
    "ARENA 1.2, section 4.2; Elhage et al. 2021",
    function="ov_sample",
    results=(
        "OVSample",
        "TokenOutputs",
        "TokenRanking",
    ),
    needs=("weights", "unembedding", "embedding"),
    code="""
heads = list(zip(LAYERS, HEADS))
read = torch.cat([read_of_tokens(h[0]) @ W_V[h] for h in heads], -1)  # [source token, d_head]
written = torch.cat([W_O[h] @ W_U for h in heads])  # [d_head, output token]
# The whole is read @ written: 10 GB for a vocabulary of 50,000, so only its first rows.
result = read[:100] @ written
""",
)
OV_SAMPLE = Quantity(
    "OV circuit on drawn tokens",
    "What attending to one token adds to the logit of another, for tokens drawn at random.",
    "value[t, u] = (W_E W_V W_O W_U)[t, u], summed over heads when several are taken jointly; "
    "behind an MLP in block 0, W_E as that leaves it (the effective embedding)",
    "logits; biases left out",
    "ARENA 1.2, section 4.2",
    function="ov_sample",
    results=("OVSample",),
    needs=("weights", "unembedding", "embedding"),
    code="""
drawn = np.random.default_rng(DRAW).choice(W_E.shape[0], SAMPLE, replace=False)
heads = list(zip(LAYERS, HEADS))
result = sum(read_of_tokens(h[0])[drawn] @ W_V[h] @ W_O[h] @ W_U[:, drawn] for h in heads)
""",
)
TOKEN_OUTPUTS = Quantity(
    "What attending to a token writes",
    "The logits that a head raises and lowers when it attends to one token.",
    "value[u] = (W_E W_V W_O W_U)[token, u], W_E as in the OV circuit",
    "logits; biases left out",
    "ARENA 1.2, section 4.2",
    function="ov_top_tokens",
    results=("TokenOutputs", "TokenRanking"),
    needs=("weights", "unembedding", "embedding"),
    code="result = read_of_tokens(LAYER)[TOKEN] @ W_V[LAYER, HEAD] @ W_O[LAYER, HEAD] @ W_U",
)
COPYING = Quantity(
    "Copying accuracy",
    "Share of tokens that a head raises most (or among the k most) when it attends to them.",
    "accuracy_k = share of tokens t with fewer than k others u where M[t, u] >= M[t, t], "
    "M = W_E W_V W_O W_U, over the whole vocabulary, special tokens included; a tie is a miss; "
    "W_E as in the OV circuit",
    "0 to 1, chance k / d_vocab",
    "ARENA 1.2, sections 4.3 and 4.4",
    function="ov_copying",
    results=("Copying",),
    needs=("weights", "unembedding", "embedding"),
    code="""
def accuracy(heads):  # of several heads: as if all attended to the token and wrote together
    left = torch.cat([read_of_tokens(h[0]) @ W_V[h] for h in heads], -1)
    right = torch.cat([W_O[h] @ W_U for h in heads])
    beaten_by = []
    for at in torch.arange(len(left)).split(1024):  # some rows of M at a time
        M = left[at] @ right
        own = M[torch.arange(len(at)), at]
        beaten_by.append((M >= own[:, None]).sum(-1) - 1)  # itself does not count
    return torch.stack([(torch.cat(beaten_by) < k).float().mean() for k in (1, 5)])


heads = list(zip(LAYERS, HEADS))
sets = [[head] for head in heads] + [heads] * (len(heads) > 1)
result = torch.stack([accuracy(each) for each in sets])  # [each head, then all of them; k]
""",
)
EIGENVALUES = Quantity(
    "Eigenvalue copying score",
    "Whether a head writes back what it reads (+1), its opposite (-1), or something else (0).",
    "score = sum of Re(lambda) / sum of |lambda| over the eigenvalues of W_V W_O, or of "
    "W_E W_V W_O W_U (W_E as in the OV circuit) for the score through the vocabulary, the one that "
    "says whether tokens are copied when embedding and unembedding are not tied",
    "-1 to 1",
    "Elhage et al. 2021; ARENA 1.2",
    function="ov_eigenvalues",
    results=("Eigenvalues",),
    needs=("weights", "unembedding", "embedding"),
    axes=("which", "layer", "head"),
    code="""
# Those of W_V W_O that are not 0, and those of W_E W_V W_O W_U.
weights_alone = torch.linalg.eigvals(W_O @ W_V)
around = [W_U @ read_of_tokens(layer) for layer in range(min(n_layers, 2))]
around = torch.stack([*around[:1], *around[-1:] * (n_layers - 1)])[:, None]  # later layers alike
eigenvalues = torch.linalg.eigvals(W_O @ around @ W_V)
scores = [e.real.sum(-1) / e.abs().sum(-1) for e in (weights_alone, eigenvalues)]
result = torch.stack(scores)  # [which, layer, head]
""",
)
OV_DIRECTIONS = Quantity(
    "Singular directions of OV",
    "The few directions through which most of what a head moves passes, as tokens.",
    "W_V W_O = sum over i of S[i] u[i] v[i]^T; tokens read: W_E u[i] (W_E as in the "
    "OV circuit), tokens written: W_U^T v[i]",
    "S relative to each other; tokens read in embedding units, written in logits per unit",
    "ARENA 1.2, section 4.1",
    function="ov_svd",
    results=(
        "OVDecomposition",
        "SingularDirection",
    ),
    needs=("weights", "unembedding", "embedding"),
    code="""
U, singular, V_t = torch.linalg.svd(W_V[LAYER, HEAD] @ W_O[LAYER, HEAD])
# Tokens of the strongest direction, up to its sign.
read, written = read_of_tokens(LAYER) @ U[:, 0], V_t[0] @ W_U
result = singular[:d_head]
""",
)
FACTORED_MATRIX = Quantity(
    "Factored matrix",
    "A product kept as its two thin factors; whatever is asked of it is computed from those.",
    "W_E W_V W_O W_U = A B with A = W_E W_V [d_vocab, d_head] and B = W_O W_U [d_head, d_vocab]: "
    "2 d_vocab d_head numbers for d_vocab^2",
    "bytes of float32; flops, a multiplication and an addition counted as 2",
    "ARENA 1.2, section 4.1; TransformerLens, FactoredMatrix",
    function="factored_matrix_facts",
    results=("FactoredFacts",),
    needs=("matrices",),
    code="""
from transformer_lens import FactoredMatrix

values, outputs = matrix("V", LAYER, HEAD), model.blocks[LAYER].attn.W_O[HEAD]
factored = FactoredMatrix(model.W_E @ values, outputs @ model.W_U)
n, m = factored.A.shape[0], factored.B.shape[1]
# Bytes of the product written out, and of its factors.
result = torch.tensor([4 * n * m, 4 * (factored.A.numel() + factored.B.numel())])
""",
)
POSITIONAL_PATTERN = Quantity(
    "Positional QK circuit",
    "Where a head would attend if it saw positions only.",
    "pattern = softmax over src <= dest of n(W_pos) W_Q W_K^T n(W_pos)^T * scale, n the norm "
    "before the head where there is one; the score is the mean of pattern[dest, dest-1]",
    "0 to 1, every row sums to 1; learned positions only",
    "ARENA 1.2, section 4.5",
    function="previous_token_circuit",
    results=("Circuit",),
    needs=("places", "norm", "matrices"),
    code="""
places = model.W_pos if PLACED else norm(LAYER, model.W_pos)
scores = (places @ matrix("Q", LAYER, HEAD)) @ (places @ matrix("K", LAYER, HEAD)).T * SCALE
result = scores.masked_fill(torch.ones_like(scores, dtype=bool).triu(1), -torch.inf).softmax(-1)
""",
)
TOKEN_PREFERENCES = Quantity(
    "Token-to-token QK circuit",
    "Which keys a token looks for, and which queries look for it, from embeddings alone.",
    "score[q, k] = (n(W_E) W_Q W_K^T n(W_E)^T)[q, k] * scale, n the norm before the head where "
    "there is one; behind an MLP in block 0, W_E as that leaves it",
    "attention score before softmax; only differences between keys of one query count",
    "ARENA 1.2, section 4.0",
    function="qk_preferences",
    results=(
        "TokenPreferences",
        "TokenRanking",
    ),
    needs=("places", "weights", "embedding", "norm", "matrices"),
    code="""
read = norm(LAYER, read_of_tokens(LAYER))
own_query, own_key = read[TOKEN] @ matrix("Q", LAYER, HEAD), read[TOKEN] @ matrix("K", LAYER, HEAD)
scores_of_keys = read @ (matrix("K", LAYER, HEAD) @ own_query) * SCALE
scores_of_queries = read @ (matrix("Q", LAYER, HEAD) @ own_key) * SCALE
result = torch.stack([scores_of_keys, scores_of_queries])
""",
)
K_COMPOSITION_CIRCUIT = Quantity(
    "Full K-composition circuit",
    "Whether a token's query finds the key that an earlier head wrote about that same token.",
    "C = (n(W_E) W_Q[reader]) (n(W_E) W_V[writer] W_O[writer] W_K[reader])^T, n the norm before "
    "the head that reads; best key for each query: "
    "share of rows whose diagonal entry is among the k largest; best query for each key: the same "
    "for columns",
    "0 to 1, chance k / d_vocab",
    "ARENA 1.2, section 4.8, both directions",
    function="k_composition_circuit",
    results=("KeyQueryMatch",),
    needs=("fixed_qk", "weights", "embedding", "norm", "matrices"),
    code="""
queries_of_tokens = norm(LAYER, read_of_tokens(LAYER)) @ matrix("Q", LAYER, HEAD)
values_of_tokens = norm(WRITER[0], read_of_tokens(WRITER[0])) @ matrix("V", *WRITER)
# The scale of the norm after the writer is not known, and counts as 1.
keys_of_tokens = values_of_tokens @ (W_O[WRITER] @ W_K[LAYER, HEAD])
own = (queries_of_tokens * keys_of_tokens).sum(-1)


def first(left, right):  # share of rows in which no other entry is as large as the token's own
    found = []
    for at in torch.arange(len(left)).split(1024):  # some rows of C at a time
        C = left[at] @ right.T
        C[torch.arange(len(at)), at] = -torch.inf
        found.append(C.amax(-1) < own[at])
    return torch.cat(found).float().mean()


best_key = first(queries_of_tokens, keys_of_tokens)
best_query = first(keys_of_tokens, queries_of_tokens)
result = torch.stack([best_key, best_query])
""",
)
COMPOSITION = Quantity(
    "Composition score",
    "How far the subspace that a head writes overlaps the one that a later head reads.",
    "score = |W_A W_B| / (|W_A| |W_B|), Frobenius norms; W_A = W_V W_O of the earlier head, W_B of "
    "the later one: W_Q W_K^T for Q, W_K W_Q^T for K, W_V W_O for V",
    "0 to 1; random pairs give about 1/sqrt(d_model)",
    "Elhage et al. 2021; ARENA 1.2, sections 4.9 to 4.13",
    function="composition_scores",
    results=("Composition",),
    needs=("weights",),
    code="""
def small(matrix):  # its triangular factor: products with it have the same norms
    return torch.linalg.qr(matrix, mode="r").R


# What later heads read by is left right^T.
left, right = {"Q": (W_Q, W_K), "K": (W_K, W_Q), "V": (W_V, W_O.mT)}[KIND]
written, kept = small(W_V), small(right)
writers = (written @ small(W_O.mT).mT).norm(dim=(-2, -1))
readers = (small(left) @ kept.mT).norm(dim=(-2, -1))
# [writer layer, writer head, reader layer, reader head]
result = torch.full((n_layers, n_heads, n_layers, n_heads), torch.nan)
for layer in range(n_layers - 1):
    later = slice(layer + 1, None)
    for head in range(n_heads):
        product = written[layer, head] @ (W_O[layer, head] @ left[later]) @ kept[later].mT
        size = writers[layer, head] * readers[later]
        result[layer, head, later] = product.norm(dim=(-2, -1)) / size
""",
)
PARTNERS = Quantity(
    "Composition scores of one head",
    "How far one head reads each earlier head, and is read by each later one.",
    "the composition score with every head of another layer, by queries, keys and values",
    "0 to 1; random pairs give about 1/sqrt(d_model)",
    "Elhage et al. 2021",
    function="composition_scores",
    results=("Composition",),
    needs=("fixed_qk", "weights"),
    code="""
def score(A, B):
    return float((A @ B).norm() / (A.norm() * B.norm()))


OV = W_V @ W_O
earlier = [(i, h) for i in range(LAYER) for h in range(n_heads)]
later = [(i, h) for i in range(LAYER + 1, n_layers) for h in range(n_heads)]
found = []
for read in (W_Q @ W_K.mT, W_K @ W_Q.mT, OV):  # by its queries, keys and values
    found += [score(OV[other], read[LAYER, HEAD]) for other in earlier]
    found += [score(OV[LAYER, HEAD], read[other]) for other in later]
result = torch.tensor(found)
""",
)
COMPOSITION_BASELINE = Quantity(
    "Composition of random pairs",
    "The score that heads of the same shape with random weights would have.",
    "mean and standard deviation over seeded draws of four normal matrices [d_model, d_head]; "
    "closed form 1/sqrt(d_model)",
    "composition score",
    "ARENA 1.2, section 4.10",
    function="random_baseline",
    results=("Baseline",),
    code="""
generator = torch.Generator().manual_seed(0)
sample = []
for _ in range(6):  # 300 random pairs
    a1, a2, b1, b2 = torch.randn(4, 50, model.cfg.d_model, d_head, generator=generator)
    for A, B in zip(a1 @ a2.mT, b1 @ b2.mT):
        sample.append((A @ B).norm() / (A.norm() * B.norm()))
result = torch.stack([torch.stack(sample).mean(), torch.stack(sample).std()])
""",
)
