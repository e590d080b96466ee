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
)
