"""The one table of what a link may hold."""

from collections.abc import Callable
from dataclasses import dataclass

from analysis.definitions import PROFILE, SCORES
from analysis.limits import MAX_SEED, MIN_HALF
from analysis.models.catalog import list_models
from app.components.head_grid.view import MAX_LOCKED, MAX_LOCKED_TOKENS
from app.config import settings
from app.links.pages import PAGES
from app.links.parsers import (
    ALL_FAMILIES,
    Value,
    answer_list,
    choice,
    decimal_number,
    family_name,
    head_list,
    head_list_or_none,
    position_list,
    room_code,
    switch,
    text_up_to,
    whole_number,
)

DEFAULT_PROMPT = (
    "Once upon a time there was a little girl called Alice, who lived with her father in an old "
    "house by the sea. Every morning Alice went down to the sea, and every evening her father "
    "told her a story."
)
# As many tokens, but the name does not come back: what a head made of that is gone.
SECOND_PROMPT = DEFAULT_PROMPT.replace("Every morning Alice", "Every morning Emma")
# Browsers and chat programs cut longer addresses; percent-encoding can triple this.
MAX_LINK_PROMPT = 1500
MAX_HALF = 255
MAX_BATCH = settings().max_batch
MAX_JOINT = 8  # heads taken together; more bars than these cannot be told apart
MIN_SAMPLE, MAX_SAMPLE = 10, 200
MAX_PAIRS = 40
MAX_IDS = 200
MAX_WORD = 40  # of one token, or of a search
MAX_KEPT = 300
MAX_EDGES = 80
MAX_PATCHES = 40
CLEAN_PROMPT = "The red house and the old horse were by the river, and we all loved the red"
# What followed "red" follows "old": only who stands before whom has changed.
CORRUPT_PROMPT = CLEAN_PROMPT.replace("red house", "old house").replace("old horse", "red horse")
MAX_OFFSETS = 10
SORTS = ("listed", "name", "size", "best")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing a link can hold: its key, default, parser from text, and what it means."""

    key: str
    default: Value
    parse: Callable[[str], Value]
    meaning: str
    pages: tuple[str, ...] = ()  # empty: every page


PROMPTS = ("prompt", "prompt2", "clean", "corrupt")
_PROFILE = choice(*PROFILE)
_ANSWERS = ("attribution", "head", "patching")
_TWO_HEADS = ("compare", "circuits", "composition")
_OVERVIEWS = ("mosaic", "training")
_THRESHOLD = "scores above it count as that kind of head"
PARAMETERS = (
    Parameter("model", list_models()[0].name, str, "model, by its name; name@step: a checkpoint"),
    Parameter("input", "prompt", choice("prompt", "repeated"), "a prompt or repeated tokens"),
    Parameter("prompt", DEFAULT_PROMPT, text_up_to(MAX_LINK_PROMPT), "the text of the prompt"),
    Parameter(
        "length", 50, whole_number(MIN_HALF, MAX_HALF), "S, tokens in the half that is repeated"
    ),
    Parameter("batch", 10, whole_number(1, MAX_BATCH), "number of repeated sequences"),
    Parameter("seed", 0, whole_number(0, MAX_SEED), "seed of the repeated tokens"),
    Parameter("bos", True, switch, "1 puts the BOS token in front of the prompt"),
    Parameter("layer", 0, whole_number(0, 999), "layer of the head in focus, from 0"),
    Parameter("head", 0, whole_number(0, 999), "head in focus, from 0"),
    Parameter("threshold", 0.4, decimal_number(0, 1), _THRESHOLD, ("attention", "induction")),
    Parameter(
        "sequence",
        0,
        whole_number(0, MAX_BATCH - 1),
        "which of the repeated sequences is drawn, from 0",
        (
            "tokens",
            "attention",
            "head",
            "activations",
            "neurons",
            "induction",
            "attribution",
            "composition",
            "compare",
        ),
    ),
    Parameter(
        "position",
        -1,
        whole_number(-1, 9999),
        "position of the bar chart, -1 for the last",
        ("attribution",),
    ),
    Parameter("answer", "", text_up_to(MAX_WORD), "token whose logit is split", _ANSWERS),
    Parameter("foil", "", text_up_to(MAX_WORD), "token it is compared with", _ANSWERS),
    Parameter(
        "view", "grid", choice("grid", "circuitsvis"), "how patterns are drawn", ("attention",)
    ),
    Parameter("locked", "", head_list(MAX_LOCKED), "heads laid over each other", ("attention",)),
    Parameter(
        "at", "", position_list(MAX_LOCKED_TOKENS), "positions of locked tokens", ("attention",)
    ),
    Parameter(
        "direction",
        "dest",
        choice("dest", "src"),
        "dest: what a token attends to; src: what attends to it",
        ("attention",),
    ),
    Parameter(
        "method",
        "zero",
        choice("zero", "mean", "resample"),
        "how a head is ablated",
        ("ablation", "head"),
    ),
    Parameter(
        "swap",
        0,
        whole_number(0, MAX_SEED),
        "which sequence stands in for which in resample ablation: a seed",
        ("ablation", "head"),
    ),
    Parameter("together", "", head_list(MAX_KEPT), "heads ablated together", ("ablation",)),
    Parameter(
        "keep",
        "",
        head_list_or_none(MAX_KEPT),
        "heads that are kept while all others are silenced; none: no head",
        ("ablation",),
    ),
    Parameter(
        "offsets", "", position_list(MAX_OFFSETS), "distances of one more row, 0..", ("ablation",)
    ),
    Parameter("ids", "", text_up_to(MAX_IDS), "token ids to turn into text", ("tokens",)),
    Parameter(
        "dest", -1, whole_number(-1, 9999), "destination explained, -1: strongest", ("head",)
    ),
    Parameter("src", -1, whole_number(-1, 9999), "its source, -1: the strongest", ("head",)),
    Parameter(
        "token", "", text_up_to(MAX_WORD), "token to look up in the circuits", ("head", "circuits")
    ),
    Parameter("heads", "", head_list(MAX_JOINT), "heads whose OV is taken jointly", ("circuits",)),
    Parameter(
        "sample",
        60,
        whole_number(MIN_SAMPLE, MAX_SAMPLE),
        "how many tokens the OV heatmap shows",
        ("circuits",),
    ),
    Parameter("draw", 0, whole_number(0, MAX_SEED), "which tokens it shows: a seed", ("circuits",)),
    Parameter("kind", "K", choice("Q", "K", "V"), "what a head reads with", ("composition",)),
    Parameter(
        "pairs", 8, whole_number(1, MAX_PAIRS), "pairs of heads in the graph", ("composition",)
    ),
    Parameter("stripes", False, switch, "1 adds every induction head", ("composition",)),
    Parameter(
        "qpart",
        -1,
        whole_number(-1, 999),
        "component of the queries, -1: strongest",
        ("composition",),
    ),
    Parameter(
        "kpart", -1, whole_number(-1, 999), "component of the keys, -1: strongest", ("composition",)
    ),
    Parameter(
        "point", "pattern", text_up_to(20), "activation, by its short name", ("activations",)
    ),
    Parameter("feature", 0, whole_number(0, 999_999), "first feature drawn", ("activations",)),
    Parameter(
        "list",
        "activations",
        choice("activations", "parameters"),
        "what the list holds",
        ("activations",),
    ),
    Parameter("within", -1, whole_number(0, 999), "layer that the list is about", ("activations",)),
    Parameter(
        "find", "", text_up_to(MAX_WORD), "text that the list is searched for", ("activations",)
    ),
    Parameter("neuron", -1, whole_number(0, 999_999), "neuron of the layer, from 0", ("neurons",)),
    Parameter("rank", "induction", _PROFILE, "score that heads are ranked by", ("finder",)),
    Parameter("minimum", -1.0, decimal_number(-1, 99), "least score of heads shown", ("finder",)),
    Parameter(
        "only", -1, whole_number(-1, 999), "layer whose heads are shown, -1: all", ("finder",)
    ),
    Parameter("measured", False, switch, "1 adds copying and the ablation effect", ("finder",)),
    Parameter("x", "previous", _PROFILE, "score along the horizontal axis", ("finder",)),
    Parameter("y", "induction", _PROFILE, "score along the vertical axis", ("finder",)),
    Parameter("score", "induction", choice(*SCORES), "score that is shown", _OVERVIEWS),
    Parameter("family", ALL_FAMILIES, family_name, "family of the models shown", ("mosaic",)),
    Parameter("sort", "listed", choice(*SORTS), "order of the models", ("mosaic",)),
    Parameter("step", -1, whole_number(-1, 99_999_999), "step of the checkpoint", ("training",)),
    Parameter("scale", "log", choice("log", "linear"), "how steps are spaced", ("training",)),
    Parameter(
        "by",
        "ablate",
        choice("ablate", "head", "prompt", "model"),
        "what differs between the two sides",
        ("compare",),
    ),
    Parameter("ablate", "", head_list(1), "head that the second side lacks", ("compare",)),
    Parameter("layer2", -1, whole_number(0, 999), "layer of the second head", _TWO_HEADS),
    Parameter(
        "head2", -1, whole_number(0, 999), "the second head: a side, or the writer", _TWO_HEADS
    ),
    Parameter(
        "prompt2", SECOND_PROMPT, text_up_to(MAX_LINK_PROMPT), "the second prompt", ("compare",)
    ),
    Parameter("model2", "", str, "the second side's model", ("compare",)),
    Parameter("lesson", 1, whole_number(1, 8), "step of the lesson", ("learn",)),
    Parameter("answers", "", answer_list, "answers to the lesson's steps", ("learn",)),
    Parameter("room", "", room_code, "room of a presenter that is followed"),
    Parameter("term", "", text_up_to(60), "word that the glossary is searched for", ("glossary",)),
    Parameter(
        "clean", CLEAN_PROMPT, text_up_to(MAX_LINK_PROMPT), "prompt with the answer", ("patching",)
    ),
    Parameter(
        "corrupt", CORRUPT_PROMPT, text_up_to(MAX_LINK_PROMPT), "prompt without it", ("patching",)
    ),
    Parameter(
        "patch",
        "z",
        choice("resid_pre", "attn_out", "mlp_out", "z", "q", "k", "v", "pattern"),
        "which activation is patched",
        ("patching",),
    ),
    Parameter(
        "column", -1, whole_number(-1, 9999), "position or head patched, -1: best", ("patching",)
    ),
    Parameter(
        "exact", "none", choice("none", "top", "all"), "which patches are run", ("patching",)
    ),
    Parameter("top", 10, whole_number(1, MAX_PATCHES), "how many of the strongest", ("patching",)),
    Parameter("reader", "", head_list(1), "head at the end of the paths", ("patching",)),
    Parameter("into", "k", choice("q", "k", "v"), "which of its inputs", ("patching",)),
    Parameter("paths", False, switch, "1 patches every path into it", ("patching",)),
    Parameter(
        "edges", 0, whole_number(0, MAX_EDGES), "edges of the circuit, 0: enough", ("patching",)
    ),
)
BY_KEY = {parameter.key: parameter for parameter in PARAMETERS}
# Pages whose question is best asked of repeated tokens begin there.
_PAGE_DEFAULTS: dict[tuple[str, str], Value] = {
    ("finder", "input"): "repeated",
    ("induction", "input"): "repeated",
    ("ablation", "input"): "repeated",
    ("composition", "input"): "repeated",
    ("compare", "input"): "repeated",
    ("patching", "input"): "repeated",
    ("patching", "layer"): -1,
    ("patching", "answer"): " house",
    ("patching", "foil"): " horse",
    # -1: the page picks the heads that it has most to say about.
    **{(page, key): -1 for page in _TWO_HEADS for key in ("layer", "head")},
    ("activations", "layer"): -1,
    ("activations", "head"): -1,
    ("neurons", "layer"): -1,
    ("training", "layer"): -1,
    ("training", "head"): -1,
    ("induction", "layer"): -1,
    ("induction", "head"): -1,
    ("ablation", "layer"): -1,
    ("ablation", "head"): -1,
}


def default_of(page: str, parameter: Parameter) -> Value:
    """What a parameter is on a page unless the link says otherwise."""
    return _PAGE_DEFAULTS.get((page, parameter.key), parameter.default)


def format_value(value: Value) -> str:
    """A value as a link holds it."""
    if isinstance(value, bool):
        return str(int(value))
    return f"{value:g}" if isinstance(value, float) else str(value)


_UNKNOWN_PAGES = {name for p in PARAMETERS for name in p.pages} - {page.name for page in PAGES}
assert not _UNKNOWN_PAGES, f"parameters of pages that do not exist: {_UNKNOWN_PAGES}"
