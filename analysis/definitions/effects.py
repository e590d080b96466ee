"""What breaks without a head."""

from analysis.definitions.quantity import Quantity

ABLATION = Quantity(
    "Ablation effect",
    "How much the loss rises when one head's output is replaced; the head is needed if it rises.",
    "effect[layer, head] = loss with z[:, :, head] replaced - loss as it is; "
    "zero: by 0, mean: by its mean over the sequences at each position, resample: by its z in "
    "another sequence; a single sequence is set against stretches of a reference text",
    "nats per token; over the predictable entries S+1..2S-1 of repeated tokens, else over all",
    "ARENA 1.2, sections 3.7 and 3.8",
    function="ablate_head",
    results=("HeadAblation",),
    needs=("run", "loss", "ablate"),
    axes=("layer", "head"),
    code="""
clean = loss()
effects = [[loss(ablated([(i, h)])) - clean for h in range(n_heads)] for i in range(n_layers)]
result = torch.tensor(effects)  # [layer, head]
""",
)
TOKEN_ABLATION = Quantity(
    "Ablation effect at each prediction",
    "How much more surprised the model is by each token without one head.",
    "value[i] = mean over sequences of log p(token[i+1]) as it is - log p with z of the head "
    "replaced",
    "nats; above 0 the head helps with that token",
    "ARENA 1.2, section 3.7, before its mean is taken",
    function="ablate_head",
    results=("HeadAblation",),
    needs=("run", "loss", "ablate"),
    code="""
def of_each(hooks=()):  # loss at each prediction
    logits = model.run_with_hooks(tokens, fwd_hooks=list(hooks))
    return -next_token_log_probs(logits).mean(0)


result = of_each(ablated([(LAYER, HEAD)])) - of_each()
""",
)
ANSWER_ABLATION = Quantity(
    "Ablation effect on an answer",
    "How the logit of one answer changes without a head, by whatever path the head acts.",
    "change = m with z of the head 0 at every position - m as it is; m = logit[answer] after the "
    "destination, minus logit[foil] where there is one",
    "logits; below 0 the head helps",
    "ARENA 1.2, section 3.7, on one logit",
    function="answer_ablation",
    results=("AnswerAblation",),
    needs=("run", "loss"),
    code="""
answer = tokens[ROW, DEST + 1] if ANSWER is None else ANSWER


def towards(hooks=()):  # the answer's logit after DEST, less the foil's
    logits = model.run_with_hooks(tokens[ROW : ROW + 1], fwd_hooks=list(hooks))[0, DEST]
    return logits[answer] - (0 if FOIL is None else logits[FOIL])


def silenced(layer, head):
    def silence(z, hook):
        z[:, :, head] = 0
        return z

    return [(z_hook(layer), silence)]


changes = [towards(silenced(*head)) - towards() for head in zip(LAYERS, HEADS)]
result = torch.stack(changes)  # by head
""",
)
ABLATION_ESTIMATE = Quantity(
    "Estimated ablation effect",
    "What ablating a head would do if the loss were a straight line between its output and the "
    "replacement.",
    "estimate[layer, head] = sum over sequences, positions and d_head of "
    "d loss / d z · (replacement - z)",
    "nats per token; off where attention or the prediction is saturated",
    "Nanda 2023, attribution patching",
    function="ablation_estimate",
    results=("AblationEstimate",),
    needs=("run", "loss", "ablate"),
    code="""
z = {}


def note(layer):
    def hook(activation, hook):
        z[layer] = activation.clone()  # the one that the rest of the run is computed from
        return z[layer]

    return z_hook(layer), hook


with torch.enable_grad():
    slopes = torch.autograd.grad(loss([note(i) for i in range(n_layers)]), list(z.values()))
changes = [replacement(own.detach(), i) - own.detach() for i, own in z.items()]
result = torch.stack([(c * s).sum((0, 1, 3)) for c, s in zip(changes, slopes)])  # [layer, head]
""",
)
JOINT_ABLATION = Quantity(
    "Joint effect of heads",
    "Whether losing several heads at once costs more, or less, than all their losses together.",
    "excess = effect of ablating them together - sum of the effects of each alone; replacements "
    "are those of the model as it is",
    "nats per token; above 0: each covers for the others, below 0: parts of one mechanism",
    "first-order interaction of the ablation effect",
    function="pair_ablation",
    results=(
        "PairAblation",
        "SetAblation",
    ),
    needs=("run", "loss", "ablate"),
    code="""
heads = list(zip(LAYERS, HEADS))
alone = {head: loss(ablated([head])) - loss() for head in heads}
result = torch.full((len(heads), len(heads)), torch.nan)
for i, one in enumerate(heads):
    for j, other in enumerate(heads[:i]):
        both = loss(ablated([one, other])) - loss()
        result[i, j] = result[j, i] = both - alone[one] - alone[other]
""",
)
SET_ABLATION = Quantity(
    "Effect of heads together",
    "How much the loss rises without several heads at once, beside what each costs alone.",
    "together = loss with z of all of them replaced - loss as it is; excess = together - sum of "
    "the effects of each alone",
    "nats per token",
    "first-order interaction of the ablation effect",
    function="ablate_heads",
    results=("SetAblation",),
    needs=("run", "loss", "ablate"),
    code="""
heads = list(zip(LAYERS, HEADS))
together = loss(ablated(heads)) - loss()
alone = sum(loss(ablated([head])) - loss() for head in heads)
result = torch.stack([together, alone, together - alone])
""",
)
PAIR_ABLATION = Quantity(
    "Ablation effect on pairs",
    "How much a head matters where only two tokens in a row repeat; one that matters on full "
    "repeats alone looks for longer matches.",
    "mean ablation of each head on BOS, r_1..r_S, then pairs of neighbours r_i r_i+1 in random "
    "order, over the second token of each pair",
    "nats per token",
    "ARENA 1.2, section 3.10; here no pair continues the one before it",
    function="ablate_head",
    results=("HeadAblation",),
    needs=("repeated",),
    code="""
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


def effects(ids, entries):  # of mean ablation of each head, over these predictions
    def loss_of(hooks=()):
        log_probs = model.run_with_hooks(ids, fwd_hooks=list(hooks))[:, :-1].log_softmax(-1)
        return -log_probs.gather(-1, ids[:, 1:, None])[:, entries].mean()

    found = torch.zeros(n_layers, n_heads)
    for layer in range(n_layers):
        for head in range(n_heads):

            def replace(z, hook):
                new = z.clone()
                new[:, :, head] = z[:, :, head].mean(0)  # over sequences, at each position
                return new

            hooks = [(f"blocks.{layer}.attn.hook_z", replace)]
            found[layer, head] = loss_of(hooks) - loss_of()
    return found


pairs = effects(paired, slice(S + 1, 2 * S, 2))  # of the second token of each pair
full = effects(tokens, scored)
result = torch.stack([pairs, full, pairs / full])  # [which, layer, head]
""",
)
KEEP_ONLY = Quantity(
    "Loss with only some heads",
    "How much of the task the chosen heads carry when all others are silenced.",
    "loss with z[:, :, head] = 0 for every head that is not kept; embeddings, biases and MLPs stay",
    "nats per token; over the predictable entries S+1..2S-1 of repeated tokens, else over all",
    "ARENA, 2023 edition, complement ablation",
    function="keep_only",
    needs=("run", "loss", "ablate"),
    code="""
every = [(layer, head) for layer in range(n_layers) for head in range(n_heads)]


def replacement(z, layer):
    return torch.zeros_like(z)


result = loss(ablated([head for head in every if head not in KEPT]))
""",
)
OFFSET_ABLATION = Quantity(
    "Distances a head needs",
    "How much the loss rises when a head may read values only at some distances.",
    "z[dest] = sum over src of pattern[dest, src] v~[src], v~ = v where dest - src is kept, else "
    "the mean of v over sequences at src; effect = loss with that z - loss as it is",
    "nats per token",
    "ARENA 1.2, section 3.10",
    function="offset_ablation",
    results=("OffsetAblation",),
    needs=("run", "loss", "usual"),
    code="""
position = torch.arange(tokens.shape[1])
distance = position[:, None] - position  # [dest, src]
attention = cache[f"blocks.{LAYER}.attn.hook_pattern"]
values = cache[f"blocks.{LAYER}.attn.hook_v"]
blank = usual(f"blocks.{LAYER}.attn.hook_v")  # [pos, head, d_head]


def restricted(head, kept):  # hooks that let a head read values only at these distances
    def rebuild(z, hook):
        real = torch.isin(distance, torch.tensor(kept))
        shared = head * values.shape[2] // n_heads  # of its group, where heads share values
        own = values[:, :, shared]
        new = z.clone()
        new[:, :, head] = (attention[:, head] * real) @ own
        new[:, :, head] += (attention[:, head] * ~real) @ blank[:, shared]  # not of the text
        return new

    return [(z_hook(LAYER), rebuild)]


kept_sets = [[], [0], [1], [2], [3], [1, 2], [1, 2, 3]]
if OFFSETS not in kept_sets:
    kept_sets.append(OFFSETS)
clean = loss()
effects = [[loss(restricted(h, kept)) - clean for h in range(n_heads)] for kept in kept_sets]
lost = torch.tensor(effects)  # [distances kept, head]
result = torch.stack([lost, lost / lost[0]])  # nats, and share of the head's work
""",
)
TARGETED_ABLATION = Quantity(
    "Targeted ablation",
    "How a head's induction stripe changes when one earlier head is silenced.",
    "change[source] = induction score of the target with the source's z set to 0 - its score as it "
    "is",
    "change of a share of attention, -1 to 1",
    "ARENA 1.2, section 4.14",
    function="targeted_ablation",
    results=("TargetedAblation",),
    needs=("run", "pattern", "score", "loss"),
    code="""
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
)
