"""Token ids with their text: what a model is run on. Free of torch."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from analysis.arrays import freeze

if TYPE_CHECKING:
    import torch

# Between the two texts of a pair that an encoder is given, on a line of its own.
PAIR_LINE = "---"
_BETWEEN = re.compile(rf"^[ \t]*{PAIR_LINE}[ \t]*\r?$", re.MULTILINE)


@dataclass(frozen=True, eq=False)
class Tokens:
    r"""Token ids of one model, with the text of each.

    `labels[b][p]` is what id `ids[b, p]` decodes to; a token that is only part of a character
    reads as its bytes, such as `\\xe2\\x80`. `half_length` is S for `[BOS, r_1..r_S, r_1..r_S]`
    and None for a prompt. `has_bos` says whether position 0 is the BOS token. `pairs_from` is S
    where S random tokens are followed by pairs of neighbours among them, else None. Of a
    conversation `speakers[p]` is whose token p is, "system", "user", "assistant" or
    "template"; else there are none. Of an encoder's text `segments[p]` is 0 or 1, which of two
    texts token p is of, and `frames` are the positions of the tokens that its tokenizer puts
    around them; else there are none. `note` is what its maker has to say about it.
    """

    ids: Int[np.ndarray, "batch pos"]
    labels: tuple[tuple[str, ...], ...]
    half_length: int | None
    has_bos: bool
    pairs_from: int | None = None
    speakers: tuple[str, ...] = ()
    note: str = ""
    segments: tuple[int, ...] = ()
    frames: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        n_rows, n_pos = self.ids.shape
        if [len(row) for row in self.labels] != [n_pos] * n_rows:
            raise ValueError(f"{n_rows} x {n_pos} ids, but the rows of labels differ from that")
        if self.half_length is not None:
            first = self.ids[:, 1 : self.half_length + 1]
            second = self.ids[:, self.half_length + 1 :]
            if n_pos != 2 * self.half_length + 1 or not np.array_equal(first, second):
                raise ValueError(f"tokens are not BOS and the same {self.half_length} ids twice")
        if self.pairs_from is not None and n_pos != 2 * self.pairs_from + 1:
            raise ValueError(f"{n_pos} tokens are not BOS, {self.pairs_from} ids and their pairs")
        if self.speakers and (n_rows, n_pos) != (1, len(self.speakers)):
            raise ValueError(f"{n_rows} x {n_pos} ids, but {len(self.speakers)} speakers")
        if self.segments and (n_rows, n_pos) != (1, len(self.segments)):
            raise ValueError(f"{n_rows} x {n_pos} ids, but {len(self.segments)} segments")
        freeze(self, "ids")

    @property
    def batch(self) -> int:
        """Number of sequences."""
        return self.ids.shape[0]

    @property
    def length(self) -> int:
        """Number of positions, BOS included."""
        return self.ids.shape[1]

    @property
    def parts(self) -> tuple[str, ...]:
        """Of a conversation the speaker of each token, with "answer" for the turn at its end.

        That is the assistant's, if it has begun it.
        """
        begun = len(self.speakers)
        while begun and self.speakers[begun - 1] == "assistant":
            begun -= 1
        return (*self.speakers[:begun], *["answer"] * (len(self.speakers) - begun))

    @property
    def tensor(self) -> "torch.Tensor":
        """The ids as a torch tensor of its own memory."""
        import torch  # not before it is needed

        return torch.from_numpy(self.ids.copy())

    @property
    def segment_tensor(self) -> "torch.Tensor | None":
        """The segments of an encoder's text, [1, pos]; None elsewhere."""
        import torch  # not before it is needed

        return torch.tensor([self.segments]) if self.segments else None

    @property
    def remark(self) -> str:
        """What to know about a prompt, as a sentence; empty where there is nothing.

        A BOS token that was typed stays where BOS is put in front as well.
        """
        if self.speakers:
            return self.note
        typed = self.half_length is None and self.pairs_from is None and self.length > 1
        if not (typed and self.has_bos and self.ids[0, 0] == self.ids[0, 1]):
            return ""
        return (
            f"The prompt begins with {self.labels[0][0]} itself, and BOS is switched on, so it "
            "stands there twice. Delete it, or switch BOS off."
        )

    @property
    def scored(self) -> slice:
        """The next-token predictions that losses are averaged over.

        Entry i is the prediction made at position i. For repeated tokens only entries
        `S+1 .. 2S-1` can be known from the first half (the first repeated token cannot), so a
        perfect induction circuit scores 0 there. Of pairs it is the second token of each, since
        no pair continues the one before it. For a prompt it is every entry.
        """
        if self.pairs_from is not None:
            return slice(self.pairs_from + 1, 2 * self.pairs_from, 2)
        if self.half_length is None:
            return slice(0, self.length - 1)
        return slice(self.half_length + 1, 2 * self.half_length)


def texts_of(prompt: str) -> list[str]:
    """The texts that a prompt holds for an encoder: one, or those between lines of `PAIR_LINE`."""
    return [text.strip() for text in _BETWEEN.split(prompt)]
