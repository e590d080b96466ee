"""Questions about two prompts, and about edges between heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import analysis
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.tokens import PAIR_LINE, texts_of
from app.compute.ask import Progress, ask, ask_at_once
from app.compute.calls.inputs import TOKENIZE, rows_of, tokens_of
from app.compute.question import Question
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.effects.edges import Edge, EdgeAttribution, Faithfulness
    from analysis.effects.pair_edges import PairEdgeAttribution, PairFaithfulness
    from analysis.effects.patching import Input, PatchKind, PatchMap, PathMap, PromptPair
    from analysis.models.info import ModelInfo
    from analysis.models.loading import HeadModel
    from analysis.runs.inputs import Tokens


def mask_token(model: HeadModel) -> str:
    """What stands for a masked token; empty where the tokenizer has none."""
    return str(model.tokenizer.mask_token or "")


MASK_TOKEN = Question("mask_token", lambda: mask_token, logits="none")
PROMPT_PAIR = Question("prompt_pair", lambda: analysis.prompt_pair)
ATTRIBUTION_PATCHING = Question(
    "attribution_patching", lambda: analysis.attribution_patching, logits="slopes"
)
ACTIVATION_PATCHING = Question("activation_patching", lambda: analysis.activation_patching)
PATH_PATCHING = Question("path_patching", lambda: analysis.path_patching)


def _edges(info: ModelInfo, tokens: int) -> int:
    """Bytes of what every head writes to the stream, some of it twice, and of all edges."""
    heads, read = info.n_heads, info.n_heads + 2 * (info.n_kv_heads or info.n_heads)
    edges = info.n_layers * (info.n_layers - 1) // 2 * heads * read + info.n_layers * heads
    written = 4 * tokens * heads * info.d_model
    return 2 * written * info.n_layers + 8 * written + 300 * edges


EDGE_ATTRIBUTION = Question(
    "edge_attribution", lambda: analysis.edge_attribution, logits="slopes", beside=_edges
)
FAITHFULNESS = Question("faithfulness", lambda: analysis.faithfulness, beside=_edges)
PAIR_EDGES = Question(
    "pair_edge_attribution", lambda: analysis.pair_edge_attribution, logits="slopes", beside=_edges
)
PAIR_FAITHFULNESS = Question("pair_faithfulness", lambda: analysis.pair_faithfulness, beside=_edges)

# Tokens times patches times parameters: about two minutes of one visitor's patches.
MAX_PATCH_WORK = 5 * 10**12
# Numbers in the patterns of all heads on one prompt, 64 MiB; three copies are held at once.
MAX_PATTERN_NUMBERS = 2**24
# Numbers in what all heads write to the stream, 256 MiB: edges are found from all of them.
MAX_WRITTEN_NUMBERS = 2**26


def patched_prompts(selection: Selection) -> tuple[Tokens, Tokens]:
    """The tokens of the view's clean and corrupt prompt, of an encoder with the masked one.

    Raises:
        AnalysisError: One of them is not usable, or too long for the patterns of all heads.
    """
    bos, info = selection.bos, selection.info
    prompts = [
        ask(TOKENIZE, selection.info, _with_mask(selection, selection[name]), prepend_bos=bos)
        for name in ("clean", "corrupt")
    ]
    longest = longest_patterns(info)
    if max(prompt.length for prompt in prompts) > longest:
        raise AnalysisError(
            f"A prompt has more than {longest} tokens, the most that are patched in "
            f"{info.name}. Shorten both."
        )
    return prompts[0], prompts[1]


def mask_of(selection: Selection) -> str:
    """What stands for a masked token; empty for a model that predicts none."""
    return ask(MASK_TOKEN, selection.info) if selection.info.bidirectional else ""


def _with_mask(selection: Selection, text: str) -> str:
    """A prompt of an encoder has its masked token at the end, unless it holds one."""
    mask, texts = mask_of(selection), texts_of(text)
    if mask in text or not text.strip():
        return text
    return f"\n{PAIR_LINE}\n".join([*texts[:-1], f"{texts[-1]} {mask}"])


def longest_patterns(info: ModelInfo) -> int:
    """The most tokens of which the patterns of all heads are held at once."""
    return int((MAX_PATTERN_NUMBERS / (info.n_layers * info.n_heads)) ** 0.5)


def prompt_pair(
    selection: Selection, clean: Tokens, corrupt: Tokens, answer: int, foil: int
) -> PromptPair:
    """Two prompts that can be patched into each other."""
    return ask_at_once(PROMPT_PAIR, selection.info, clean, corrupt, answer=answer, foil=foil)


def attribution_patching(selection: Selection, pair: PromptPair) -> dict[PatchKind, PatchMap]:
    """Estimates of every patch of every kind."""
    return ask(ATTRIBUTION_PATCHING, selection.info, pair)


def activation_patching(
    selection: Selection,
    pair: PromptPair,
    kind: PatchKind,
    cells: tuple[tuple[int, int], ...],
    progress: Progress | None = None,
) -> PatchMap:
    """Exact patches of one kind; `progress` may raise to cancel them."""
    _admit_patches(selection, pair, len(cells))
    return ask(ACTIVATION_PATCHING, selection.info, pair, kind, cells, progress=progress)


def path_patching(
    selection: Selection, pair: PromptPair, reader: Head, into: Input, progress: Progress
) -> PathMap:
    """Exact patches of every path into a head; for k and v `reader` is a key/value head."""
    _admit_patches(selection, pair, reader.layer * selection.info.n_heads)
    return ask(PATH_PATCHING, selection.info, pair, reader, into, progress=progress)


def circuit_tokens(selection: Selection) -> Tokens:
    """The view's sequences, as many of the first ones as edges can be found on at once."""
    tokens = tokens_of(selection)
    fit = _followed_at_once(selection, tokens.length, least=min(tokens.batch, 2))
    return rows_of(tokens, slice(fit))


def _followed_at_once(selection: Selection, length: int, least: int) -> int:
    """How many sequences of a length edges can be found on at once.

    Raises:
        AnalysisError: Fewer than `least`.
    """
    info = selection.info
    each = info.n_layers * info.n_heads * info.d_model * length
    fit = MAX_WRITTEN_NUMBERS // each
    if fit < least:
        raise AnalysisError(
            f"{length} tokens are too many to follow every edge of {info.name} at once; "
            f"about {MAX_WRITTEN_NUMBERS * length // (least * each)} are possible. Take fewer "
            "repeated tokens or a shorter prompt."
        )
    return fit


def edge_attribution(selection: Selection) -> EdgeAttribution:
    """Every edge between heads with its estimated effect on the view's tokens."""
    tokens = circuit_tokens(selection)
    return ask(EDGE_ATTRIBUTION, selection.info, tokens)


def faithfulness(selection: Selection, edges: tuple[Edge, ...]) -> Faithfulness:
    """The loss on the view's tokens when all other edges are cut."""
    tokens = circuit_tokens(selection)
    return ask(FAITHFULNESS, selection.info, tokens, edges)


def pair_edges(selection: Selection, pair: PromptPair) -> PairEdgeAttribution:
    """Every edge between heads with its estimated worth to the clean prompt's answer."""
    _followed_at_once(selection, pair.clean.length, least=1)
    return ask(PAIR_EDGES, selection.info, pair)


def pair_faithfulness(
    selection: Selection, pair: PromptPair, edges: tuple[Edge, ...]
) -> PairFaithfulness:
    """The clean prompt's logit difference when all other edges carry the corrupt prompt's."""
    return ask(PAIR_FAITHFULNESS, selection.info, pair, edges)


def _admit_patches(selection: Selection, pair: PromptPair, patches: int) -> None:
    each = pair.clean.ids.size * max(selection.info.n_params, 1)
    if patches * each > MAX_PATCH_WORK:
        raise AnalysisError(
            f"{patches:,} patches of {pair.clean.length} tokens are too much for "
            f"{selection.info.name} at once; about {MAX_PATCH_WORK // each:,} are possible. "
            "Patch only the strongest, or shorten both prompts."
        )
