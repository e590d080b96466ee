"""What heads do in a conversation, by who speaks the tokens that they read."""

from analysis.definitions.quantity import Quantity

SPEAKER_ATTENTION = Quantity(
    "Attention from the answer by speaker",
    "How much of a head's attention goes from the assistant's answer to what the system, the user "
    "or the assistant said, or to what the chat template writes around turns.",
    "mean over the answer's dest of the sum over src of that speaker of pattern[dest, src]; before "
    "an answer has begun, at the last position. Chance: the same with 1 / (dest + 1) for each "
    "pattern[dest, src]",
    "0 to 1; over all speakers 1",
    "Headscope; roles of tokens from the model's own chat template",
    function="speaker_attention",
    results=("SpeakerAttention",),
    needs=("conversation", "run", "pattern"),
    code="""
parts = [part for part in PARTS if part in WHOSE]
dests = [at for at, part in enumerate(WHOSE) if part == "answer"] or [len(WHOSE) - 1]
members = torch.tensor([[whose == part for whose in WHOSE] for part in parts])
result = (pattern[0][:, :, dests] @ members.float().T).mean(2)  # [layer, head, part]
print(parts)
""",
)
SPEAKER_ATTRIBUTION = Quantity(
    "Direct attribution by speaker",
    "What a head adds to the logit of an answer by reading what the system, the user or the "
    "assistant said, or what the chat template writes around turns.",
    "sum over src of that speaker of pattern[dest, src] * (v[src] W_O · W_U[:, answer]), less that "
    "of the foil if there is one, after the final norm with its scale held fixed; over all "
    "speakers the head's direct logit attribution",
    "logits; above 0 towards the answer, below 0 away from it",
    "ARENA 1.2, section 3.4, with z = sum over src of pattern * v written out",
    function="speaker_attribution",
    results=("SpeakerAttribution",),
    needs=("conversation", "run", "pattern", "writes", "targets"),
    code="""
parts = [part for part in PARTS if part in WHOSE]
members = torch.tensor([[whose == part for whose in WHOSE[: DEST + 1]] for part in parts])
rows = []
for layer in range(n_layers):
    v = cache[f"blocks.{layer}.attn.hook_v"][0, : DEST + 1]
    for head in range(n_heads):
        value = v[:, head * v.shape[1] // n_heads]  # heads of a group share them
        read = read_by_head(layer, head, direction, cache)[0, DEST]
        rows.append(pattern[0, layer, head, DEST, : DEST + 1] * (value @ read))
result = (torch.stack(rows) @ members.float().T).unflatten(0, (n_layers, n_heads))
print(parts)
""",
)
