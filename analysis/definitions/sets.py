"""What is measured over a set of prompts."""

from analysis.definitions.quantity import Quantity

ROLE_SCREENS = Quantity(
    "Screens of roles",
    "How much the head that looks most like a role looks like it, on these prompts.",
    "largest screen of all heads, by role; each role's own definition says what its screen is",
    "0 to 1 each; a screen says what a head looks like, and not whether it matters",
    "as each role names",
    function="role_scores",
    results=("RoleScores", "RoleScreen"),
)
VERDICT = Quantity(
    "Verdict",
    "Whether a group of heads matters for a task: cause, correlate, interferer or null.",
    "effect = mean over prompts of (metric with z of the group replaced - metric as it is), beside "
    "the same of groups with as many other heads of each layer. cause: outside the range of those "
    "groups, in the direction that the role says, and the bootstrap interval over prompts excludes "
    "0; interferer: likewise, the other way; correlate: neither; null: no head is in the group",
    "logits for the logit difference of answer and foil, else nats; of groups that matter alike "
    "one falls outside on a given side once in (random groups + 1) times",
    "matched-random groups: arXiv 2606.05378; bootstrap: Efron 1979, Hesterberg 2015",
    function="verdict",
    results=("Verdict", "GroupTest"),
    needs=("set", "run", "loss", "ablate", "difference"),
    code="""
as_it_is = difference(tokens)
# The group, and then the random ones.
result = torch.stack([difference(tokens, ablated(group)) - as_it_is for group in GROUPS])
""",
)
REDUNDANCY = Quantity(
    "Verdict without backups",
    "The same verdict where the heads that make up for the group are gone as well.",
    "effect = mean over prompts of (metric without group and backups - metric without backups); "
    "backups: at most 4 heads, of no layer before the group's first, whose direct effect on the "
    "answer grows by at least a fiftieth of the metric when the group is gone, with an interval "
    "above 0",
    "as the verdict",
    "backup name movers: Wang et al. 2022",
    function="verdict",
    results=("Verdict", "GroupTest"),
)
DIRECT_EFFECT = Quantity(
    "Direct effect on the answer",
    "What a head's own output adds to the answer's logit, less the foil's, after the prompt.",
    "value = mean over prompts of z[end] W_O . (W_U[answer] - W_U[foil]), through the final norm "
    "with its scale held at the value it had",
    "logits",
    "Wang et al. 2022",
    function="direct_effects",
    needs=("by_row", "run", "writes", "answers"),
    code="""
found = [(writes_of(i, cache)[:, -1] * direction[:, None]).sum(-1) for i in range(n_layers)]
result = torch.stack(found, 1)
""",
)

ATTENTION_OVER_SET = Quantity(
    "Attention between places",
    "How much of its attention a head puts from one named place of a prompt on another.",
    "mean over prompts of pattern[destination place, source place]; only prompts that have both; "
    "of two sides: on the prompt minus on the corrupt prompt",
    "0 to 1; chance is 1 / (position of the destination + 1); -1 to 1 for the difference",
    "Wang et al. 2022",
    function="attention_by_row",
    results=("ByRow",),
    needs=("by_row", "run"),
    code="""
each = torch.arange(len(tokens))
to, of = (torch.tensor(PLACES[name])[which] for name in (DEST_PLACE, SRC_PLACE))
found = [cache[f"blocks.{i}.attn.hook_pattern"][each, :, to, of] for i in range(n_layers)]
result = torch.stack(found, 1)
""",
)
SCORE_OVER_SET = Quantity(
    "Score over a set",
    "A score of every head, with its mean and spread over prompts.",
    "mean over prompts of the score on each; only prompts that have it; of two sides: on the "
    "prompt minus on the corrupt prompt",
    "the score's own",
    "as the score names",
    function="score_by_row",
    results=("ByRow",),
)
ABLATION_OVER_SET = Quantity(
    "Ablation effect over a set",
    "How the task's metric changes when one head's output is replaced.",
    "mean over prompts of (metric with z of the head replaced - metric as it is); zero: by 0, "
    "mean: by its mean over the set, resample: by its z in another prompt of the same length",
    "logits for the logit difference of answer and foil, else nats; below 0: the head is needed",
    "Wang et al. 2022",
    function="ablation_by_row",
    results=("ByRow",),
    needs=("by_row", "run", "z_hook", "ablate", "metric"),
    code="""
as_it_is = metric(tokens)
result = torch.stack([
    torch.stack([metric(tokens, ablated([(i, h)])) - as_it_is for h in range(n_heads)], -1)
    for i in range(n_layers)
], 1)
""",
)
PATCHING_OVER_SET = Quantity(
    "Patching over a set",
    "How much of the logit difference one head's output of the clean prompt brings back.",
    "mean over prompts of (difference of the corrupt prompt with z of the head, at every position, "
    "from the clean one - difference of the corrupt prompt); only prompts with a corrupt one of as "
    "many tokens",
    "logits; above 0: towards the answer",
    "Meng et al. 2022; Wang et al. 2022",
    function="patching_by_row",
    results=("ByRow",),
    needs=("by_row", "run", "metric"),
    code="""
corrupt = [tokenizer.encode(CORRUPTS[row], add_special_tokens=False) for row in which]
corrupt = torch.tensor([[tokenizer.bos_token_id] * PREPEND_BOS + ids for ids in corrupt])


def clean_z(layer, head):
    def put(z, hook):
        z = z.clone()
        z[:, :, head] = cache[f"blocks.{layer}.attn.hook_z"][:, :, head]
        return z

    return [(f"blocks.{layer}.attn.hook_z", put)]


as_it_is = metric(corrupt)
result = torch.stack([
    torch.stack([metric(corrupt, clean_z(i, h)) - as_it_is for h in range(n_heads)], -1)
    for i in range(n_layers)
], 1)
""",
)
