"""What a recipe of interventions by hand does to one prompt."""

from analysis.definitions.quantity import Quantity

_RESULTS = ("Intervened",)
NEXT_WITH_RECIPE = Quantity(
    "Next token with a recipe",
    "How likely each next token is after the prompt, as it is and with the recipe.",
    "softmax of the logits at the last position, of the clean run and of the run with the "
    "recipe's steps",
    "probability, 0 to 1",
    "Meng et al. 2022 (patches); Turner et al. 2023 (differences of prompts)",
    function="intervene",
    results=_RESULTS,
    needs=("recipe",),
    code="""
probs = torch.stack([logits[0, -1].softmax(-1) for logits in (clean, edited)])
listed = torch.cat([each.topk(10).indices for each in probs]).unique()
result = probs[:, listed]  # [clean or edited, token], tokens by id
print([tokenizer.decode([i]) for i in listed.tolist()])
""",
)
LOSS_WITH_RECIPE = Quantity(
    "Rise of the loss with a recipe",
    "How much harder each token of the prompt is to predict with the recipe.",
    "log softmax(clean logits[i])[token i+1] - log softmax(edited logits[i])[token i+1]",
    "nats; below 0 it is predicted better",
    "ARENA 1.2",
    function="intervene",
    results=_RESULTS,
    needs=("recipe",),
    code="""
log_probs = [
    logits[0, :-1].log_softmax(-1).gather(-1, tokens[0, 1:, None])[:, 0]
    for logits in (clean, edited)
]
result = log_probs[0] - log_probs[1]  # [entry]; entry i scores token i+1
""",
)
MOVED_ATTENTION = Quantity(
    "Moved attention",
    "How much of a head's attention goes elsewhere with the recipe.",
    "mean over dest from 1 on of half the sum over src of |edited pattern - clean pattern|",
    "share: 0 attends as before, 1 to other tokens altogether",
    "this project (total variation distance)",
    function="intervene",
    results=_RESULTS,
    needs=("recipe",),
    code="""
apart = [
    (edited_cache[name] - clean_cache[name])[0, :, 1:].abs().sum(-1).mean(-1) / 2
    for name in (f"blocks.{layer}.attn.hook_pattern" for layer in range(n_layers))
]
result = torch.stack(apart)  # [layer, head]
""",
)
EDITED_PATTERN = Quantity(
    "Pattern with a recipe",
    "Where a head looks, as it is and with the recipe.",
    "the pattern that z is made of, in both runs; a cell that is set leaves its row's sum as it "
    "comes out",
    "0 to 1",
    "Vaswani et al. 2017; edits: this project",
    function="intervene",
    results=_RESULTS,
    needs=("recipe",),
    code="""
name = f"blocks.{LAYER}.attn.hook_pattern"
result = torch.stack([cache[name][0, HEAD] for cache in (clean_cache, edited_cache)])
""",
)
RECIPE_DIFFERENCE = Quantity(
    "Logit difference with a recipe",
    "How much the model prefers the answer to the foil, as it is and with the recipe.",
    "logit[answer] - logit[foil] at the last position, of both runs",
    "logits",
    "Wang et al. 2022",
    function="intervene",
    results=_RESULTS,
    needs=("recipe",),
    code="""
result = torch.stack([logits[0, -1, ANSWER] - logits[0, -1, FOIL] for logits in (clean, edited)])
""",
)
WRITTEN = Quantity(
    "Writing on",
    "What the model writes after the prompt, as it is and with the recipe, and how likely each of "
    "the tokens written with the recipe was on the same text without it.",
    "at temperature 0 the likeliest token, else the token in whose share of softmax(logits / "
    "temperature) the i-th number of the seed falls; p of each token with and without the recipe",
    "probability, 0 to 1",
    "sampling by inversion; this project",
    function="write_on",
    results=("Written",),
    needs=("recipe", "write"),
    code="""
result = write(steps)[1]  # [without or with the recipe, new token]
""",
)
_FLIP = ("FlipSet",)
FLIP_PATH = Quantity(
    "Logit difference as heads are removed",
    "How much of an answer's lead over a foil is left after each head of a flip set is removed; "
    "below 0 the foil wins.",
    "logit[answer] - logit[foil] at the last position with z = 0 of the heads removed so far, each "
    "the one that lowers it most beside those before it; every head that is left is tried anew",
    "logits",
    "greedy search on exact ablation effects; this project",
    function="flip_set",
    results=_FLIP,
    needs=("answered",),
    code="""
every = [(layer, head) for layer in range(n_layers) for head in range(n_heads)]
order, left = [], [left_without([])]
while left[-1] >= 0 and len(order) < min(20, len(every)):
    found = {head: left_without([*order, head]) for head in every if head not in order}
    best = min(found, key=found.get)
    if found[best] >= left[-1]:
        break
    order.append(best)
    left.append(found[best])
print(order)
result = torch.stack(left)  # as it is, then after each removal
""",
)
FLIP_NEEDED = Quantity(
    "Logit difference with one head put back",
    "Whether every head of a flip set is needed: above 0 the answer wins again once it is back.",
    "logit[answer] - logit[foil] at the last position without the set, and without all of it but "
    "one head, for each of its heads",
    "logits",
    "minimality: Wang et al. 2022, on ablation of a set",
    function="flip_set",
    results=_FLIP,
    needs=("answered",),
    code="""
order = list(zip(LAYERS, HEADS))
sets = [order, *([other for other in order if other != head] for head in order)]
result = torch.stack([left_without(heads) for heads in sets])  # all gone, then each put back
""",
)
FLIP_RANDOM = Quantity(
    "Logit difference without random groups",
    "What is left of an answer's lead without as many other heads of the same layers.",
    "logit[answer] - logit[foil] at the last position without each group; groups are drawn with a "
    "seed, have as many heads of each layer as the flip set and none of its own",
    "logits; the foil wins below 0",
    "matched-random groups: arXiv 2606.05378",
    function="flip_set",
    results=_FLIP,
    needs=("answered",),
    code="""
result = torch.stack([left_without(group) for group in GROUPS])  # [group]
""",
)
