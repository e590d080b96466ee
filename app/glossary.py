"""The words on the screen, explained once, and links to them from wherever they stand."""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

from analysis import definitions
from analysis.definitions import Quantity
from app.text import markdown_text


@dataclass(frozen=True, slots=True)
class Term:
    """A word, what it means in a sentence or two, and other forms in which pages use it."""

    name: str
    meaning: str
    forms: tuple[str, ...] = ()


TERMS = (
    Term(
        "head",
        "One of the parts of an attention layer that work side by side. It decides where each "
        "token looks (QK) and what is moved from there (OV).",
        ("heads",),
    ),
    Term("head label", "L5H1 is head 1 of layer 5; both are counted from 0."),
    Term(
        "destination (query)",
        "The token that looks back and receives what a head moves. A row of a pattern.",
        ("destination", "destinations"),
    ),
    Term(
        "source (key)",
        "The token that is looked at and read from. A column of a pattern.",
        ("source", "sources"),
    ),
    Term(
        "pattern",
        "How a head spreads the attention of each destination over the sources up to it; every "
        "row sums to 1.",
        ("patterns", "attention pattern"),
    ),
    Term(
        "attention score",
        "What a query and a key give before softmax turns a row of them into shares.",
        ("attention scores",),
    ),
    Term("q, k and v", "Query, key and value: what a head computes of each token's stream."),
    Term(
        "z",
        "What a head has gathered at a destination, the values weighted by the pattern, before "
        "W_O writes it into the residual stream. Ablation replaces it.",
    ),
    Term(
        "residual stream",
        "The vector at each position that all layers read from and add to.",
        ("stream",),
    ),
    Term("resid_pre", "The residual stream as it enters a layer; resid_post as it leaves it."),
    Term("OV", "W_V W_O: what a head writes about a token that it attends to."),
    Term("QK", "W_Q W_K^T: which tokens a head attends to from which."),
    Term(
        "logit",
        "The number the model gives every token as the next one; softmax turns them into "
        "probabilities.",
        ("logits",),
    ),
    Term(
        "logit difference",
        "Logit of the answer minus logit of the foil: how much the model prefers one to the other, "
        "whatever it thinks of all other tokens.",
    ),
    Term("foil", "The token that the answer, the token whose logit is split, is compared with."),
    Term("chance level", definitions.CHANCE.removeprefix("Chance level: "), ("chance",)),
    Term("BOS", "The token at position 0 that begins every text; heads rest on it."),
    Term(
        "repeated tokens",
        "BOS, S random tokens, and the same S tokens again. Only a model that copies from its "
        "context can predict the second half.",
        ("second half", "first half"),
    ),
    Term(
        "induction head",
        "A head that finds an earlier copy of the present token, looks at what followed it, and "
        "predicts that again.",
        ("induction heads",),
    ),
    Term(
        "previous-token head",
        "A head that looks at the token just before.",
        ("previous-token heads",),
    ),
    Term(
        "stripe",
        "A diagonal line in a pattern: every destination looks equally far back.",
        ("stripes",),
    ),
    Term(
        "ablation",
        "Taking a part of the model away to see what is worse without it.",
        ("ablate", "ablates", "ablated", "ablating"),
    ),
    Term(
        "composition",
        "A later head reads what an earlier one wrote: as its query (Q), key (K) or value (V).",
        ("K-composition",),
    ),
    Term("nats", "Unit of loss with the natural logarithm; 1 nat is 1.44 bits."),
    Term("loss", "Minus the logarithm of the probability given to the token that came, averaged."),
    Term(
        "token",
        "A piece of text that the model sees as one number.",
        ("tokens",),
    ),
    Term("MLP", "The part of a layer that works on each position by itself.", ("MLPs",)),
    Term("neuron", "One hidden unit of an MLP.", ("neurons",)),
    Term("entropy", "How widely attention is spread: 0 for one source, ln(n) for n alike."),
    Term("embedding", "The vector a token starts as in the residual stream."),
    Term("unembedding", "The matrix that turns the last residual stream into logits."),
)

# Every quantity that figures show.
DEFINITIONS = tuple(sorted(definitions.QUANTITIES, key=lambda item: item.name.lower()))
# As they stand in text that is escaped already; longer words first, so that the longest is linked.
_FORMS = {
    markdown_text(written): term.name
    for term in TERMS
    for form in (term.name, *term.forms)
    for written in (form, form[0].upper() + form[1:])
}
_ANY_FORM = re.compile(
    r"(?<!\w)(?:"
    + "|".join(re.escape(form) for form in sorted(_FORMS, key=len, reverse=True))
    + r")(?!\w)"
)


@lru_cache(1024)
def linked(text: str) -> str:
    """`text` as markdown with nothing of its own to render, its terms leading to the glossary.

    Each term is linked where it stands first; `app.shell.words` says what it means there.
    """
    seen: set[str] = set()

    def link(match: re.Match[str]) -> str:
        name = _FORMS[match[0]]
        if name in seen:
            return match[0]
        seen.add(name)
        return glossary_link(name, match[0])

    return _ANY_FORM.sub(link, markdown_text(text))


def glossary_link(name: str, shown: str | None = None) -> str:
    """Markdown of a link to one entry; `shown` is markdown that is safe already."""
    # Relative: a proxy may serve the app from a folder, and pages stand side by side.
    return f"[{shown or markdown_text(name)}](glossary?term={quote(name, safe='')})"


def find_terms(wanted: str) -> tuple[list[Term], list[Quantity]]:
    """The entries whose name holds `wanted`, in either case; else those that mention it."""
    text = wanted.strip().lower()
    named = [term for term in TERMS if text in term.name.lower()]
    defined = [item for item in DEFINITIONS if text in item.name.lower()]
    if named or defined:
        return named, defined
    return (
        [t for t in TERMS if text in t.meaning.lower() or any(text in f.lower() for f in t.forms)],
        [item for item in DEFINITIONS if text in item.meaning.lower()],
    )
