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
    needs=("set", "run", "loss", "ablate"),
    any_model=True,
    code="""
def metric(hooks=()):  # mean logit difference of answer and foil after each prompt
    logits = model.run_with_hooks(tokens, fwd_hooks=list(hooks))[:, -1]
    each = torch.arange(len(tokens))
    return (logits[each, ANSWERS] - logits[each, FOILS]).mean()


# The group, and then the random ones.
result = torch.tensor([float(metric(ablated(group)) - metric()) for group in GROUPS])
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
)
