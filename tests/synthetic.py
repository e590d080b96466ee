"""A model with heads of known roles: it attends by position, and writes tokens as they are."""

import torch

from analysis.head import Head
from analysis.models.loading import HeadModel
from analysis.sets.rows import PromptRow, PromptSet
from tests.conftest import make_model

NAMES = ("John", "Mary", "Tom", "James", "Henry", "Charles", "Robert", "William", "George", "Peter")
# Where the answer stands in every prompt, the subject, the subject again, and the last token.
SUBJECT, ANSWER, AGAIN, END = 2, 4, 11, 15
# Names the answer's place and raises what it sees there: a name mover that matters.
MOVER = Head(1, 0)
# Looks at the subject's second place and writes nothing: it looks like a subject suppressor.
IDLE = Head(2, 1)
# Lowers the subject from its first place, where no role of the answer looks: it matters.
QUIET_CAUSE = Head(2, 5)
# Looks at the answer and lowers it: a negative name mover.
NEGATIVE = Head(3, 2)


def prompts(rows: int = 12) -> PromptSet:
    """Indirect objects, with the subject named first in all of them."""
    found = []
    for i in range(rows):
        subject, answer = NAMES[i % len(NAMES)], NAMES[(i + 1 + i // len(NAMES)) % len(NAMES)]
        text = f"When {subject} and {answer} went to the store, {subject} gave a drink to"
        found.append(PromptRow(text, answer=answer, foil=subject))
    return PromptSet("synthetic", tuple(found))


def model_with_roles() -> HeadModel:
    """4 layers of 8 heads. Those above have their roles; the others see all alike and write noise.

    Tokens live in 192 directions of the stream, positions in 64 of their own; there is no norm, and
    the unembedding is the transposed embedding.
    """
    model = make_model(n_layers=4, n_heads=8, d_model=256, d_head=64)
    generator = torch.Generator().manual_seed(5)
    bridge = model.bridge
    for name, weight in bridge.named_parameters():
        if "norm" not in name:
            weight.zero_()
    bridge.b_U.zero_()
    tokens = torch.nn.functional.normalize(torch.randn(4096, 192, generator=generator), dim=-1)
    bridge.W_E[:, :192] = tokens
    bridge.W_U[:192] = tokens.T
    bridge.W_E[model.bos_id] = 0
    bridge.W_pos[:, 192:] = torch.eye(64)
    places = {MOVER: ANSWER, IDLE: AGAIN, QUIET_CAUSE: SUBJECT, NEGATIVE: ANSWER}
    gains = {MOVER: 12.0, IDLE: 0.0, QUIET_CAUSE: -8.0, NEGATIVE: -3.0}
    for layer in range(4):
        attention = bridge.blocks[layer].attn
        w_k, w_v, w_o = attention.W_K, attention.W_V, attention.W_O
        b_q = attention.b_Q.view(8, 64)
        for index in range(8):
            head = Head(layer, index)
            basis, _ = torch.linalg.qr(torch.randn(192, 64, generator=generator))
            w_v[index, :192] = basis
            if head not in places:
                noise = torch.randn(64, 192, generator=generator)
                w_o[index, :, :192] = 0.1 * noise / noise.norm(dim=-1, keepdim=True)
                continue
            # The last token asks for one position; all others rest on BOS, which says nothing.
            attention.W_Q[index, 192 + END, 0] = 1
            w_k[index, 192 + places[head], 0] = 40 * 8
            b_q[index, 1] = 1
            w_k[index, 192, 1] = 20 * 8
            w_o[index, :, :192] = gains[head] * basis.T
    return model
