"""What heads do, by their patterns: their scores, and what is made of those."""

from analysis.definitions import circuits, scores
from analysis.definitions.quantity import Quantity, registered
from analysis.definitions.score import Score

ScoreName = str  # the key of a score
SCORES: dict[ScoreName, Score] = {
    score.key: score for score in registered(scores) if isinstance(score, Score)
}
SCORE_NAMES: tuple[ScoreName, ...] = tuple(SCORES)
# The scores that are a share of attention.
TARGETED: tuple[ScoreName, ...] = tuple(
    name for name, score in SCORES.items() if score.targets is not None
)

CHANCE = (
    "Chance level: the same score for a head that spreads its attention evenly over all positions "
    "up to the destination, on the same tokens."
)

COURSE_STRIPE = Quantity(
    "Induction stripe, as the course averages it",
    "The whole diagonal S-1 below the main one, with two cells that cannot be induction.",
    "mean over dest >= S-1 of pattern[dest, dest-(S-1)]",
    "0 to 1; a perfect induction head that rests on BOS reaches (S+1)/(S+2)",
    "ARENA 1.2, section 3.2",
    function="head_scores",
    results=("HeadScores",),
    needs=("repeated", "run", "pattern"),
    axes=("layer", "head"),
    code="result = pattern.diagonal(-(S - 1), -2, -1).mean((0, -1))",
)
PATTERN_CHANGE = Quantity(
    "Change of a pattern",
    "How much of a head's attention goes elsewhere on a second prompt, place by place.",
    "mean over dest >= 1, as far as both go, of half the sum over src of "
    "|pattern_2[dest, src] - pattern_1[dest, src]|",
    "0 to 1; 0: the same, 1: no source is shared",
    "total variation of two distributions",
    function="pattern_change",
    needs=("run", "pattern"),
    axes=("layer", "head"),
    code="""
ids = tokenizer.encode(SECOND_PROMPT, add_special_tokens=False)
second = torch.tensor([[tokenizer.bos_token_id] * PREPEND_BOS + ids])
_, cache = model.run_with_cache(second)
other = torch.stack([cache[f"blocks.{i}.attn.hook_pattern"] for i in range(n_layers)], 1)
n = min(other.shape[-1], pattern.shape[-1])  # places that both have
moved = (other[..., 1:n, :n] - pattern[..., 1:n, :n]).abs().sum(-1) / 2
result = moved.mean((0, -1))  # [layer, head]
""",
)
DISTANCE_PROFILE = Quantity(
    "Attention by distance",
    "How much of its attention a head puts how far back.",
    "mean over dest of pattern[dest, dest-d]; on repeated tokens dest = S+1..2S, so that d = S-1 "
    "is the induction stripe and d = S the earlier copy itself",
    "0 to 1",
    "ARENA 1.2, section 2.8",
    function="distance_profile",
    needs=("run", "pattern"),
    axes=("layer", "head"),
    code="""
first = S + 1 if S else 0
profile = [
    pattern.diagonal(-distance, -2, -1)[..., max(first - distance, 0) :].mean((0, -1))
    for distance in range(tokens.shape[1])
]
result = torch.stack(profile, -1)  # [layer, head, distance]
""",
)
RESTING = Quantity(
    "Resting on the first token",
    "An induction head with nothing to copy rests on position 0, and leaves it for a match.",
    "first half: mean over dest 1..S of pattern[dest, 0]; second half: mean over dest S+1..2S",
    "0 to 1",
    "ARENA 1.2, section 2.8",
    function="resting_attention",
    results=("RestingAttention",),
    needs=("repeated", "run", "pattern"),
    axes=("half", "layer", "head"),
    code="""
at_first = pattern[..., 0]
result = torch.stack(
    [at_first[..., 1 : S + 1].mean((0, -1)), at_first[..., S + 1 :].mean((0, -1))]
)
""",
)
_OF_EACH_SCORE = "\n".join(
    f"# {score.name}\n{score.code.strip()}\nscores.append(result)" for score in SCORES.values()
)
SIMILARITY = Quantity(
    "Distance between score profiles",
    "How differently two heads score; heads of a small distance do alike things on these tokens.",
    "d(a, b) = sqrt(sum over scores of ((score[a] - score[b]) / sd)^2), sd over all heads of the "
    "model; scores that are unknown or the same for every head are left out",
    "standard deviations, 0 for the same profile; typical for two heads: sqrt(2 * scores)",
    "Headscope; Euclidean distance of z-scores",
    function="similar_heads",
    needs=tuple(
        dict.fromkeys(
            ["weights", "unembedding", "embedding", *(n for s in SCORES.values() for n in s.needs)]
        )
    ),
    code=f"""
scores = []
{_OF_EACH_SCORE}
# {circuits.EIGENVALUES.name}
around = [W_U @ read_of_tokens(layer) for layer in range(min(n_layers, 2))]
around = torch.stack([*around[:1], *around[-1:] * (n_layers - 1)])[:, None]  # later layers alike
eigenvalues = torch.linalg.eigvals(W_O @ around @ W_V)
scores.append(eigenvalues.real.sum(-1) / eigenvalues.abs().sum(-1))
# Copying and the ablation effect, where the page has measured them, are two more.
profiles = [score / score.std(correction=0) for score in scores if score.std() > 0]
own = torch.stack(profiles)  # [score, layer, head]
result = (own - own[:, LAYER, HEAD, None, None]).norm(dim=0)  # [layer, head]
""",
)
_RECORDS = """
records = json.loads((folder / "history.json").read_text())  # noted while the model was trained
""".strip()
TRAINING_LOSSES = Quantity(
    "Losses while training",
    "The loss on held-out text and on both halves of repeated tokens, at each measured step.",
    "text_loss = mean of -log p over held-out text; halves as for the loss on both halves",
    "nats per token",
    "Olsson et al. 2022",
    function="training_history",
    needs=("history",),
    code=f"""
{_RECORDS}
names = ["text_loss", "first_half_loss", "second_half_loss"]
result = torch.tensor([[record[name] for record in records] for name in names])
""",
)
TRAINING_SCORES = Quantity(
    "Scores while training",
    "One score of every head at each measured step, on random tokens of a seed of its own.",
    "the score as it is defined, of the weights of that step",
    "as the score; on other random tokens than the page of induction has, so it differs a little",
    "Olsson et al. 2022",
    function="training_history",
    needs=("history",),
    code=f"""
{_RECORDS}
result = torch.tensor([record["scores"][SCORE] for record in records])  # [step, layer, head]
""",
)
STEP_SCORES = Quantity(
    "Scores at a step of training",
    "One score of every head as it was measured last before a step.",
    "the score as it is defined, of the weights of that step",
    "as the score; on other random tokens than the page of induction has, so it differs a little",
    "Olsson et al. 2022",
    function="training_history",
    needs=("history",),
    code=f"""
{_RECORDS}
last = [record for record in records if record["step"] <= STEP][-1]
result = torch.tensor(last["scores"][SCORE])  # [layer, head]
""",
)
TRANSITION = Quantity(
    "Transition",
    "When induction heads form: over few steps, and with them the loss on what repeats falls.",
    "the first measured step at which the largest induction score of all heads is at least half of "
    "what it is at the last step",
    "training step; as exact as the steps that were measured are close",
    "Olsson et al. 2022, phase change; the half is our convention",
    function="training_history",
    needs=("history",),
    code=f"""
{_RECORDS}
best = torch.tensor([record["scores"]["induction"] for record in records]).amax((1, 2))
formed = int((best >= best[-1] / 2).int().argmax())
result = torch.tensor(records[formed]["step"])
""",
)
