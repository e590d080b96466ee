"""Conversations: turns rendered by a model's own chat template, and who speaks each token."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from analysis.errors import AnalysisError
from analysis.limits import MAX_CHARACTERS, MAX_TURNS
from analysis.models.loading import HeadModel
from analysis.models.template import Job, render, template_of
from analysis.models.tokens import own_bos, set_apart
from analysis.runs.inputs import as_tokens, token_text, token_texts
from analysis.tokens import Tokens
from analysis.turns import SPEAKERS, TEMPLATE_WRITES

# Stand around each turn's text in a rendering of which nothing else is used.
_BEGIN, _END = "\ue000", "\ue001"
# Of a system turn that nobody wrote, to see what a template puts around one.
_ANYTHING = "x"


def conversation(model: HeadModel, turns: Sequence[tuple[str, str]]) -> Tokens:
    """Tokens of a conversation as the model's chat template writes it, [1, pos], with speakers.

    The template's text is read with its special tokens. Behind a turn of system or user stands what
    the template puts before an answer; a last turn of the assistant is left open, so that the
    model goes on with it. `speakers[p]` is the speaker of the turn whose text token p is of, or
    "template" for all that the template writes around it; a system message that it adds by itself
    counts as the system's. Source: `apply_chat_template` of transformers, whose tokens these are.

    Args:
        model: Whose template and tokenizer apply.
        turns: Speaker ("system", "user" or "assistant") and text of each.

    Raises:
        AnalysisError: No chat template, one that refuses these turns, takes too long or too much,
            or in whose rendering the turns are not found again; no turn, an empty one or too
            many; a token in a turn's text that the tokenizer sets apart, which could end the turn
            or begin another; more tokens than the model's context.
    """
    turns = _checked(turns)
    template = template_of(model.tokenizer, model.name)
    rendered = _Rendered.of(model, template, turns)
    if not getattr(model.tokenizer, "is_fast", False):
        raise AnalysisError(
            f"The tokenizer of {model.name} does not say which characters a token is made of, so "
            "whose it is cannot be told. Choose another model, or a prompt."
        )
    found = model.tokenizer(rendered.text, add_special_tokens=False, return_offsets_mapping=True)
    ids, places = found["input_ids"], found["offset_mapping"]
    speakers = rendered.speakers(places)
    _require_no_forged_turn(model, turns, rendered, ids, places)
    if beyond := next((token for token in ids if token >= model.d_vocab), None):
        raise AnalysisError(
            f"The conversation holds {token_text(model.tokenizer, beyond)}, token id {beyond:,}; "
            f"{model.name} has rows for ids 0 to {model.d_vocab - 1:,}. Choose another model."
        )
    if len(ids) > model.n_ctx:
        raise AnalysisError(
            f"The conversation has {len(ids):,} tokens; {model.name} takes {model.n_ctx}. Shorten "
            "it."
        )
    if len(ids) < 2:
        raise AnalysisError("One token predicts nothing. Type a longer conversation.")
    bos = own_bos(model.tokenizer, model.d_vocab)
    tokens = as_tokens(model, [ids], has_bos=bos is not None and ids[0] == bos)
    apart = token_texts(model.tokenizer, sorted(set_apart(model.tokenizer)))
    return replace(tokens, speakers=speakers, note=rendered.note(turns, apart))


def _checked(turns: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    checked = tuple((who, text.strip()) for who, text in turns)
    if not checked:
        raise AnalysisError("There is no turn yet. Type one, such as user: Hello.")
    if len(checked) > MAX_TURNS:
        raise AnalysisError(
            f"The conversation has {len(checked)} turns; at most {MAX_TURNS} are read. Shorten it."
        )
    length = sum(len(text) for _, text in checked)
    if length > MAX_CHARACTERS:
        raise AnalysisError(
            f"The conversation has {length:,} characters; at most {MAX_CHARACTERS:,} are read. "
            "Shorten it."
        )
    for number, (who, text) in enumerate(checked, 1):
        if who not in SPEAKERS:
            raise AnalysisError(
                f"Turn {number} is of “{who[:20]}”; there are {', '.join(SPEAKERS)}. Choose one."
            )
        if not text:
            raise AnalysisError(
                f"Turn {number}, of the {who}, is empty. Type its text, or delete it."
            )
        marked = next((sign for sign in text if sign in (_BEGIN, _END)), None)
        odd = marked or next((sign for sign in text if "\ud800" <= sign <= "\udfff"), None)
        if odd:
            raise AnalysisError(
                f"Turn {number} holds U+{ord(odd):04X}, which is no character of a text. Delete it."
            )
    return checked


@dataclass(frozen=True, slots=True)
class _Rendered:
    """A conversation as the template writes it: its text, and where each turn's own text stands.

    `spans` are first character, the one behind the last, and speaker, in order; of all turns, and
    before them of a system message that the template adds, where it does (`added`).
    """

    text: str
    spans: tuple[tuple[int, int, str], ...]
    added: bool

    @classmethod
    def of(cls, model: HeadModel, template: str, turns: tuple[tuple[str, str], ...]) -> "_Rendered":
        open_end = turns[-1][0] == "assistant"
        marked = tuple((who, f"{_BEGIN}{text}{_END}") for who, text in turns)
        jobs = [Job(turns, not open_end), Job(marked, not open_end)]
        if turns[0][0] != "system":
            first = ("system", f"{_BEGIN}{_ANYTHING}{_END}")
            jobs.append(Job((first, *marked), not open_end))
        special = {
            name: text
            for name, text in model.tokenizer.special_tokens_map.items()
            if isinstance(text, str)
        }
        plain, with_marks, *with_system = render(template, special, jobs, model.name)
        for each in (plain, with_marks):
            if isinstance(each, AnalysisError):
                raise each
        text, spans = _found(str(with_marks), turns, model.name)
        if text != plain:
            raise _not_split(model.name, "writes other text around a turn, by what is in it")
        added = _added_system(text[: spans[0][0]], with_system)
        if added:
            spans = (added, *spans)
        return cls(text[: spans[-1][1]] if open_end else text, spans, added is not None)

    def speakers(self, places: Sequence[tuple[int, int]]) -> tuple[str, ...]:
        """Whose each token is, by the characters that it is made of."""
        found = []
        for begin, end in places:
            touched = [who for one, other, who in self.spans if begin < other and end > one]
            # A token that reaches into a turn is of that turn; of two it can hold nothing, as the
            # text between them would have to be empty.
            found.append(touched[0] if touched else TEMPLATE_WRITES)
        return tuple(found)

    def note(self, turns: Sequence[tuple[str, str]], apart: Iterable[str]) -> str:
        """What to know about the text of turns, as a sentence; empty where there is nothing.

        Text that a template writes without a token that is set apart (`apart`) can be typed as
        well, and the model cannot tell one from the other.
        """
        own = self.spans[self.added :]
        ends = [0, *(end for _, end, _ in own)]
        begins = [*(begin for begin, _, _ in own), len(self.text)]
        borders = (self.text[end:begin] for end, begin in zip(ends, begins, strict=True))
        between = re.compile("|".join(["\n", *map(re.escape, sorted(apart, key=len)[::-1])]))
        pieces = {piece.strip() for border in borders for piece in between.split(border)}
        # A word by itself, such as the name of a speaker, is no border without a sign beside it.
        pieces = {piece for piece in pieces if len(piece) > 2 and not piece.isalnum()}
        for number, (_, text) in enumerate(turns, 1):
            if piece := next((each for each in sorted(pieces) if each in text), None):
                return (
                    f"Turn {number} holds “{piece[:40]}”, which the template writes around turns: "
                    "to the model it looks like the border of one. Here it counts as part of the "
                    "turn."
                )
        return ""


def _found(
    marked: str, turns: Sequence[tuple[str, str]], name: str
) -> tuple[str, tuple[tuple[int, int, str], ...]]:
    """A rendering less its marks, and where each turn's text stands in it.

    Raises:
        AnalysisError: Not each turn stands there once, whole and in order.
    """
    parts = re.split(f"[{_BEGIN}{_END}]", marked)
    signs = [sign for sign in marked if sign in (_BEGIN, _END)]
    if signs != [_BEGIN, _END] * len(turns):
        raise _not_split(name, "does not write each turn once and in one piece")
    spans, begin = [], 0
    for (who, text), before, own in zip(turns, parts[::2], parts[1::2], strict=False):
        begin += len(before)
        if own != text:
            raise _not_split(name, f"changes the text of a turn of the {who}")
        spans.append((begin, begin + len(own), who))
        begin += len(own)
    return "".join(parts), tuple(spans)


def _added_system(
    before: str, with_system: Sequence[str | AnalysisError]
) -> tuple[int, int, str] | None:
    """Where the template itself speaks as the system, in what it writes before the first turn.

    It does where that begins and ends with what it writes around a system turn.
    """
    if not with_system or isinstance(with_system[0], AnalysisError):
        return None
    parts = re.split(f"[{_BEGIN}{_END}]", with_system[0])
    if len(parts) < 4 or parts[1] != _ANYTHING:
        return None
    opening, closing = parts[0], parts[2]
    begin, end = len(opening), len(before) - len(closing)
    if begin >= end or not (before.startswith(opening) and before.endswith(closing)):
        return None
    return begin, end, "system"


def _not_split(name: str, why: str) -> AnalysisError:
    return AnalysisError(
        f"The chat template of {name} {why}, so who speaks a token cannot be told. Change the "
        "conversation, or choose a prompt."
    )


def _require_no_forged_turn(
    model: HeadModel,
    turns: Sequence[tuple[str, str]],
    rendered: _Rendered,
    ids: Sequence[int],
    places: Sequence[tuple[int, int]],
) -> None:
    """Refuse typed text that is read as a token which the tokenizer sets apart.

    Runs of blanks are set apart by some tokenizers too, and harmless.
    """
    own = rendered.spans[rendered.added :]
    apart = set_apart(model.tokenizer)
    for token, (begin, end) in zip(ids, places, strict=True):
        if token not in apart:
            continue
        text = token_text(model.tokenizer, token)
        for number, (one, other, who) in enumerate(own, 1):
            if text.strip() and begin < other and end > one:
                raise AnalysisError(
                    f"Turn {number}, of the {who}, holds {text}, which the tokenizer of "
                    f"{model.name} sets apart: it could end the turn or begin another. Delete it."
                )
