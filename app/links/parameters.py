"""The one table of what a link may hold."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from analysis.definitions import PROFILE, ROLES, SCORES, WEIGHTINGS
from analysis.effects.recipe import ACTS, MAX_STEPS
from analysis.errors import AnalysisError
from analysis.heads.corpus.results import ORDERS
from analysis.limits import (
    MAX_BATCH,
    MAX_CHARACTERS,
    MAX_LONG,
    MAX_LONG_CHARACTERS,
    MAX_ROWS,
    MAX_SEED,
    MAX_TEMPERATURE,
    MAX_WRITTEN,
    MIN_HALF,
    USUAL_BATCH,
    USUAL_HALF,
    sweep_size,
)
from analysis.models.catalog import find_model, list_models
from analysis.models.info import ModelInfo
from analysis.sets.builtin import BUILT_IN, ROWS
from analysis.turns import PARTS
from app.components.forward_pass.view import LEAST
from app.components.head_grid.view import MAX_LOCKED, MAX_LOCKED_TOKENS
from app.links.fits import (
    BATCH,
    DEPTH,
    HALF,
    HEAD,
    LAYER,
    NEURON,
    SECOND_HEAD,
    SECOND_LAYER,
    SEQUENCE,
    CircuitsOf,
    Fit,
    HeadsOf,
)
from app.links.pages import PAGES
from app.links.parsers import (
    ALL_FAMILIES,
    Value,
    answer_list,
    choice,
    circuit_list,
    circuit_or_none,
    content_hash,
    decimal_number,
    family_name,
    head_list,
    head_list_or_none,
    name_of,
    packed_text,
    position_list,
    recipe_or_none,
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
# Said twice, so that heads which continue what has been seen before have something to do.
PLAYED_PROMPT = " ".join(2 * ["Silver key, grey horse, seven apples."])
# A conversation in which the answer comes from what the system was told.
DEFAULT_CHAT = (
    "system: The user's dog is called Rex.\n"
    "user: Hello! What is my dog called?\n"
    "assistant: Your dog is called"
)
# As many tokens, but the name does not come back: what a head made of that is gone.
SECOND_PROMPT = DEFAULT_PROMPT.replace("Every morning Alice", "Every morning Emma")
# Characters; chat programs cut longer addresses.
MAX_LINK_PROMPT = 1500
# Of a whole link as it is sent, where a Cyrillic letter has 6 and a Chinese sign 9: proxies refuse
# a request line of more than 8 KiB.
MAX_LINK_BYTES = 7000
MAX_HALF = 255
MAX_JOINT = 8  # heads taken together; more bars than these cannot be told apart
MIN_SAMPLE, MAX_SAMPLE = 10, 200
MAX_PAIRS = 40
MAX_IDS = 200
MAX_WORD = 40  # of one token, or of a search
MAX_KEPT = 300
MAX_OFF = MAX_STEPS  # each is a step of a recipe
MAX_EDGES = 80
MAX_PATCHES = 40
CLEAN_PROMPT = "The red house and the old horse were by the river, and we all loved the red"
# What followed "red" follows "old": only who stands before whom has changed.
CORRUPT_PROMPT = CLEAN_PROMPT.replace("red house", "old house").replace("old horse", "red horse")
MAX_OFFSETS = 10
# Characters of a person's own set of prompts, in a file or typed.
MAX_OWN_ROWS = 100_000
MIN_SET, MAX_SET = 2, 128  # prompts of a built-in set
SORTS = ("listed", "name", "size", "best")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing a link can hold, in one row.

    Args:
        key: Its name in the link.
        default: Its value where the link does not say, or what tells it while the server runs;
            None: not chosen, the page picks.
        parse: Reads it from text, or refuses.
        meaning: What it is; what comes before a colon or a comma names it in sentences.
        pages: The pages that it concerns; empty: every page.
        begins: Its default on pages where that is another one, or what tells it for a model.
        unset: What stands for None in a link; links of every age hold it.
        fits: What it must fit in the model that is shown.
    """

    key: str
    default: Value | Callable[[], Value]
    parse: Callable[[str], Value]
    meaning: str
    pages: tuple[str, ...] = ()
    begins: Mapping[str, Value | Callable[[ModelInfo], Value]] = field(default_factory=dict)
    unset: str | None = None
    fits: Fit | None = None

    @property
    def said(self) -> str:
        """What it is called at the beginning of a sentence."""
        name = re.split("[:;,(]", self.meaning)[0]
        return name[:1].upper() + name[1:]

    def default_on(self, page: str, model: Value = None) -> Value:
        """What it is on a page unless the link says otherwise.

        `model` is the name of the one that is shown; without it, or where there is no such model,
        it is the first.
        """
        if page not in self.begins:
            return self.default() if callable(self.default) else self.default
        begin = self.begins[page]
        return begin(_shown_model(model)) if callable(begin) else begin

    def concerns(self, page: str) -> bool:
        """Whether links to a page hold it."""
        return not self.pages or page in self.pages

    def read(self, text: str) -> Value:
        """Its value, from the text in a link.

        Raises:
            Refused: The text is not allowed.
        """
        return None if text == self.unset else self.parse(text)

    def text(self, value: Value) -> str:
        """A value as a link holds it."""
        if value is None:
            return self.unset or ""
        if isinstance(value, bool):
            return str(int(value))
        return f"{value:g}" if isinstance(value, float) else str(value)


def first_model() -> str:
    """The model that every page can open; which one it is, the settings say."""
    return list_models()[0].name


def _shown_model(name: Value) -> ModelInfo:
    first = list_models()[0]
    if name is None:
        return first
    try:
        return find_model(str(name))
    except AnalysisError:  # said where the page opens
        return first


def _sweep_half(info: ModelInfo) -> int:
    return _sweep_size(info)[0]


def _sweep_batch(info: ModelInfo) -> int:
    return _sweep_size(info)[1]


def _sweep_size(info: ModelInfo) -> tuple[int, int]:
    return sweep_size(info.n_layers * info.n_heads, info.operations, info.n_ctx)


# The texts that a person types, and the most characters that a file may hold of each.
PROMPTS = {
    **dict.fromkeys(("prompt", "chat", "prompt2", "clean", "corrupt", "against"), MAX_CHARACTERS),
    "lines": MAX_OWN_ROWS,
    "long": MAX_LONG_CHARACTERS,
}
# All that visitors type, in their own words.
TYPED = {*PROMPTS, "answer", "foil", "token", "ids", "find", "term", "to", "of"}
# Rows of a person's own, in place of a set that comes with the app.
OWN_SET = "own"
_OVER_SETS = tuple(page.name for page in PAGES if page.over_sets or page.asks == "set")
# A head's roles are those on a set.
_WITH_SETS = (*_OVER_SETS, "head")
_OF_PLACES = ("sets", "compare", "attention")
_SCORED = ("sets", "compare", "finder")
_TWO_SIDES = (*_SCORED, "attention", "induction")
_PROFILE = choice(*PROFILE)
_WEIGHTED = ("attention", "head", "induction", "compare")
_ANSWERS = ("attribution", "patching", "intervene", *_WEIGHTED)
_TWO_HEADS = ("compare", "circuits", "composition")
_ABLATED = ("ablation", "head", "roles", "sets", "compare", "build")
_SWAPPED = (*_ABLATED, "intervene")
_OVERVIEWS = ("mosaic", "training", *_SCORED)
_THRESHOLD = "threshold, above which a score counts as that kind of head"
_OF_SEQUENCES = (
    *("tokens", "attention", "head", "activations", "neurons"),
    *("induction", "attribution", "composition", "compare", "intervene", "layers"),
)
_REPEATED = dict.fromkeys([page.name for page in PAGES if page.repeated], "repeated")
# Pages that pick the head that they have most to say about.
_PICKS = dict.fromkeys(
    (
        *(*_TWO_HEADS, *_OVER_SETS, "activations", "training", "head", "corpus", "start"),
        "intervene",
    ),
    None,
)
_PICKS_LAYER = dict.fromkeys((*_PICKS, "neurons"), None)
PARAMETERS = (
    Parameter("model", first_model, str, "model, by its name; name@step: a checkpoint"),
    Parameter(
        "input",
        "prompt",
        choice("prompt", "chat", "repeated", "set"),
        "input: a prompt, a conversation where the model has a chat template, repeated tokens, or "
        "a set of prompts where there is a mean over it",
        begins=_REPEATED,
    ),
    Parameter(
        "prompt",
        DEFAULT_PROMPT,
        text_up_to(MAX_LINK_PROMPT),
        "the text of the prompt",
        begins={"start": PLAYED_PROMPT},
    ),
    Parameter(
        "chat",
        DEFAULT_CHAT,
        text_up_to(MAX_LINK_PROMPT),
        "conversation: turns that begin with system:, user: or assistant:",
    ),
    Parameter(
        "speaker",
        "system",
        choice(*PARTS),
        "speaker of the tokens that attention or attribution is summed over",
        ("attention", "attribution"),
    ),
    Parameter(
        "length",
        USUAL_HALF,
        whole_number(MIN_HALF, MAX_HALF),
        "tokens in the half that is repeated, S",
        begins={"ablation": _sweep_half},
        fits=HALF,
    ),
    Parameter(
        "batch",
        USUAL_BATCH,
        whole_number(1, MAX_BATCH),
        "number of repeated sequences",
        begins={"ablation": _sweep_batch},
        fits=BATCH,
    ),
    Parameter("seed", 0, whole_number(0, MAX_SEED), "seed of the repeated tokens"),
    Parameter("bos", True, switch, "BOS token in front of the prompt: 1 or 0"),
    Parameter(
        "layer",
        0,
        whole_number(0, 999),
        "layer of the head in focus, from 0",
        begins=_PICKS_LAYER,
        fits=LAYER,
    ),
    Parameter("head", 0, whole_number(0, 999), "head in focus, from 0", begins=_PICKS, fits=HEAD),
    Parameter("threshold", 0.4, decimal_number(0, 1), _THRESHOLD, ("attention", "induction")),
    Parameter(
        "sequence",
        0,
        whole_number(0, MAX_BATCH - 1),
        "which of the repeated sequences is drawn, from 0",
        _OF_SEQUENCES,
        fits=SEQUENCE,
    ),
    Parameter(
        "position",
        None,
        whole_number(0, 9999),
        "position that is asked about, -1 for the last",
        ("attribution", "layers"),
        unset="-1",
    ),
    Parameter(
        "off",
        "",
        head_list(MAX_OFF),
        "heads that are switched off",
        ("layers",),
        fits=HeadsOf("switch off"),
    ),
    Parameter(
        "depth",
        None,
        whole_number(0, 999),
        "depth of the pass that is shown, 0: the embedding, d: after layer d - 1, -1: the end",
        ("layers",),
        unset="-1",
        fits=DEPTH,
    ),
    Parameter(
        "arcs",
        0.4,
        decimal_number(LEAST, 1),
        "attention of the weakest arc that is drawn",
        ("layers",),
    ),
    Parameter(
        "tofirst",
        False,
        switch,
        "arcs to the first token: 1 draws them",
        ("layers",),
    ),
    Parameter(
        "answer",
        None,
        text_up_to(MAX_WORD),
        "token whose logit is split",
        _ANSWERS,
        begins={"patching": " house"},
        unset="",
    ),
    Parameter(
        "foil",
        None,
        text_up_to(MAX_WORD),
        "foil, the token it is compared with",
        _ANSWERS,
        begins={"patching": " horse"},
        unset="",
    ),
    Parameter(
        "against",
        "",
        text_up_to(MAX_LINK_PROMPT),
        "corrupt prompt into which heads are patched",
        ("attribution",),
    ),
    Parameter(
        "set",
        "indirect-object",
        choice(*BUILT_IN, OWN_SET),
        "set of prompts",
        _WITH_SETS,
        begins={"build": "repeated-name"},  # which every model here does
    ),
    Parameter(
        "lines",
        "",
        text_up_to(MAX_LINK_PROMPT),
        "rows of one's own set: lines, CSV, JSON",
        _WITH_SETS,
    ),
    Parameter(
        "hash", "", content_hash, "which rows those were that a link has no room for", _WITH_SETS
    ),
    Parameter(
        "rows",
        ROWS,
        whole_number(MIN_SET, MAX_SET),
        "how many prompts of the set, as far as it has them",
        _WITH_SETS,
    ),
    Parameter(
        "role", None, name_of("role", *ROLES), "role that is looked into", ("roles",), unset=""
    ),
    Parameter(
        "group",
        None,
        head_list(MAX_JOINT),
        "heads whose verdict is asked for",
        ("roles",),
        unset="",
        fits=HeadsOf("judge"),
    ),
    Parameter("judge", False, switch, "verdict: 1 runs it", ("roles",)),
    Parameter(
        "measure",
        "attention",
        choice("attention", "score", "direct", "ablation", "patching"),
        "what is measured over a set",
        ("sets", "compare"),
    ),
    Parameter("to", "end", text_up_to(MAX_WORD), "place that attention comes from", _OF_PLACES),
    Parameter("of", "answer", text_up_to(MAX_WORD), "place that attention goes to", _OF_PLACES),
    Parameter(
        "side",
        "prompt",
        choice("prompt", "corrupt", "difference"),
        "side of the set: prompts, corrupt prompts, or the first less the second",
        _TWO_SIDES,
    ),
    Parameter("row", 0, whole_number(0, MAX_ROWS - 1), "row that is opened, from 0", _OVER_SETS),
    Parameter(
        "view", "grid", choice("grid", "circuitsvis"), "how patterns are drawn", ("attention",)
    ),
    Parameter(
        "weighting",
        "attention",
        choice(*WEIGHTINGS),
        "weighting: what the cells of patterns are",
        _WEIGHTED,
    ),
    Parameter("locked", "", head_list(MAX_LOCKED), "heads laid over each other", ("attention",)),
    Parameter(
        "at", "", position_list(MAX_LOCKED_TOKENS), "positions of locked tokens", ("attention",)
    ),
    Parameter(
        "direction",
        "dest",
        choice("dest", "src"),
        "direction: dest, what a token attends to; src, what attends to it",
        ("attention",),
    ),
    Parameter(
        "method",
        "zero",
        choice("zero", "mean", "resample"),
        "how a head is ablated",
        _ABLATED,
        begins={"build": "mean"},
    ),
    Parameter(
        "swap",
        0,
        whole_number(0, MAX_SEED),
        "which sequence stands in for which in resample ablation: a seed",
        _SWAPPED,
    ),
    Parameter(
        "together",
        None,
        head_list(MAX_KEPT),
        "heads ablated together",
        ("ablation",),
        unset="",
        fits=HeadsOf("ablate together"),
    ),
    Parameter(
        "keep",
        None,
        head_list_or_none(MAX_KEPT),
        "heads that are kept while all others are silenced; none: no head",
        ("ablation",),
        unset="",
        fits=HeadsOf("keep"),
    ),
    Parameter(
        "offsets", "", position_list(MAX_OFFSETS), "distances of one more row, 0..", ("ablation",)
    ),
    Parameter("ids", "", text_up_to(MAX_IDS), "token ids to turn into text", ("tokens",)),
    Parameter(
        "dest",
        None,
        whole_number(0, 9999),
        "destination asked about, -1: strongest",
        ("head", "attention", "intervene", "long"),
        unset="-1",
    ),
    Parameter(
        "src",
        None,
        whole_number(0, 9999),
        "source explained, -1: the strongest",
        ("head", "attention", "intervene", "long"),
        unset="-1",
    ),
    Parameter(
        "token",
        None,
        text_up_to(MAX_WORD),
        "token to look up in the circuits",
        ("head", "circuits"),
        unset="",
    ),
    Parameter(
        "heads",
        None,
        head_list(MAX_JOINT),
        "heads whose OV is taken jointly",
        ("circuits",),
        unset="",
        fits=HeadsOf("take jointly"),
    ),
    Parameter(
        "sample",
        60,
        whole_number(MIN_SAMPLE, MAX_SAMPLE),
        "how many tokens the OV heatmap shows",
        ("circuits",),
    ),
    Parameter(
        "draw",
        0,
        whole_number(0, MAX_SEED),
        "seed of the tokens that the OV heatmap shows",
        ("circuits",),
    ),
    Parameter("kind", "K", choice("Q", "K", "V"), "what a head reads with", ("composition",)),
    Parameter(
        "pairs", 8, whole_number(1, MAX_PAIRS), "pairs of heads in the graph", ("composition",)
    ),
    Parameter(
        "writers",
        None,
        whole_number(0, 999),
        "layer whose heads are the rows of all pairs; else those that stand out",
        ("composition",),
        fits=LAYER,
    ),
    Parameter(
        "readers",
        None,
        whole_number(0, 999),
        "layer whose heads are the columns of all pairs; else those that stand out",
        ("composition",),
        fits=LAYER,
    ),
    Parameter("stripes", False, switch, "stripes: 1 adds every induction head", ("composition",)),
    Parameter(
        "qpart",
        None,
        whole_number(0, 999),
        "component of the queries, -1: strongest",
        ("composition",),
        unset="-1",
    ),
    Parameter(
        "kpart",
        None,
        whole_number(0, 999),
        "component of the keys, -1: strongest",
        ("composition",),
        unset="-1",
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
    Parameter(
        "within",
        None,
        whole_number(0, 999),
        "layer that the list is about",
        ("activations",),
        fits=LAYER,
    ),
    Parameter(
        "weight",
        "W_Q",
        choice("W_Q", "W_K", "W_V", "W_O"),
        "weight of the head that is drawn",
        ("activations",),
    ),
    Parameter(
        "find", "", text_up_to(MAX_WORD), "text that the list is searched for", ("activations",)
    ),
    Parameter(
        "neuron",
        None,
        whole_number(0, 999_999),
        "neuron of the layer, from 0",
        ("neurons",),
        fits=NEURON,
    ),
    Parameter("rank", "induction", _PROFILE, "score that heads are ranked by", ("finder",)),
    Parameter("minimum", -1.0, decimal_number(-1, 99), "least score of heads shown", ("finder",)),
    Parameter(
        "only",
        None,
        whole_number(0, 999),
        "layer whose heads are shown, -1: all",
        ("finder",),
        unset="-1",
        fits=LAYER,
    ),
    Parameter(
        "measured",
        False,
        switch,
        "measured scores: 1 adds copying and the ablation effect",
        ("finder",),
    ),
    Parameter("x", "previous", _PROFILE, "score along the horizontal axis", ("finder",)),
    Parameter("y", "induction", _PROFILE, "score along the vertical axis", ("finder",)),
    Parameter("score", "induction", choice(*SCORES), "score that is shown", _OVERVIEWS),
    Parameter("family", ALL_FAMILIES, family_name, "family of the models shown", ("mosaic",)),
    Parameter("sort", "listed", choice(*SORTS), "order of the models", ("mosaic",)),
    Parameter(
        "step",
        None,
        whole_number(0, 99_999_999),
        "step of the checkpoint",
        ("training",),
        unset="-1",
    ),
    Parameter("scale", "log", choice("log", "linear"), "how steps are spaced", ("training",)),
    Parameter(
        "by",
        "ablate",
        choice("ablate", "head", "prompt", "model"),
        "what differs between the two sides",
        ("compare",),
    ),
    Parameter(
        "ablate",
        None,
        head_list(1),
        "head that the second side lacks",
        ("compare",),
        unset="",
        fits=HeadsOf("ablate"),
    ),
    Parameter(
        "layer2",
        None,
        whole_number(0, 999),
        "layer of the second head",
        _TWO_HEADS,
        fits=SECOND_LAYER,
    ),
    Parameter(
        "head2",
        None,
        whole_number(0, 999),
        "the second head: a side, or the writer",
        _TWO_HEADS,
        fits=SECOND_HEAD,
    ),
    Parameter(
        "prompt2",
        SECOND_PROMPT,
        text_up_to(MAX_LINK_PROMPT),
        "the second prompt",
        ("compare", "intervene"),
    ),
    Parameter(
        "recipe",
        None,
        recipe_or_none,
        "recipe: interventions in their order, such as L0H1x0_L1H4q5k2; none: no step",
        ("intervene",),
        unset="",
    ),
    Parameter(
        "circuit",
        None,
        circuit_or_none,
        "circuit: heads that do the task together, and chosen edges between them; none: no head",
        ("build",),
        unset="",
        fits=CircuitsOf(None),
    ),
    Parameter(
        "beside",
        "",
        circuit_list,
        "circuits that are kept beside it",
        ("build",),
        fits=CircuitsOf(""),
    ),
    Parameter(
        "long",
        "",
        text_up_to(MAX_LINK_PROMPT),
        "a long text; none: the novel that comes along",
        ("long",),
    ),
    Parameter(
        "upto",
        256,
        whole_number(2, MAX_LONG),
        "number of tokens of the text that are read",
        ("long",),
    ),
    Parameter("flip", False, switch, "flip set: 1 looks for it", ("intervene",)),
    Parameter(
        "write",
        0,
        whole_number(0, MAX_WRITTEN),
        "number of tokens that are written after the prompt",
        ("intervene",),
    ),
    Parameter(
        "temperature",
        0.0,
        decimal_number(0, MAX_TEMPERATURE),
        "temperature: 0 takes the likeliest token, above it tokens are drawn",
        ("intervene",),
    ),
    Parameter(
        "acts",
        "both",
        choice(*ACTS),
        "place where the recipe acts, while more is written",
        ("intervene",),
    ),
    Parameter("model2", None, str, "the second side's model", ("compare",), unset=""),
    Parameter(
        "guide", "induction", choice("induction", "looks"), "which of the lessons", ("learn",)
    ),
    Parameter("lesson", 1, whole_number(1, 8), "step of the lesson", ("learn",)),
    Parameter("answers", "", answer_list, "answers to the lesson's steps", ("learn",)),
    Parameter(
        "order",
        "attention",
        choice(*ORDERS),
        "what windows of a text are ordered by",
        ("corpus",),
    ),
    Parameter("room", "", room_code, "room of a presenter that is followed"),
    Parameter(
        "finding", "", packed_text, "finding that somebody has shared, packed", ("findings",)
    ),
    Parameter("term", "", text_up_to(60), "word that the glossary is searched for", ("glossary",)),
    Parameter(
        "clean",
        CLEAN_PROMPT,
        text_up_to(MAX_LINK_PROMPT),
        "clean prompt, with the answer",
        ("patching",),
    ),
    Parameter(
        "corrupt",
        CORRUPT_PROMPT,
        text_up_to(MAX_LINK_PROMPT),
        "corrupt prompt, without it",
        ("patching",),
    ),
    Parameter(
        "patch",
        "z",
        choice("resid_pre", "attn_out", "mlp_out", "z", "q", "k", "v", "pattern"),
        "which activation is patched",
        ("patching",),
    ),
    Parameter(
        "column",
        None,
        whole_number(0, 9999),
        "position or head patched, -1: best",
        ("patching",),
        unset="-1",
    ),
    Parameter(
        "exact", "none", choice("none", "top", "all"), "which patches are run", ("patching",)
    ),
    Parameter("top", 10, whole_number(1, MAX_PATCHES), "how many of the strongest", ("patching",)),
    Parameter(
        "reader",
        None,
        head_list(1),
        "head at the end of the paths",
        ("patching",),
        unset="",
        fits=HeadsOf("follow paths to"),
    ),
    Parameter(
        "into",
        "k",
        choice("q", "k", "v"),
        "which inputs of the head at the end of the paths",
        ("patching",),
    ),
    Parameter("paths", False, switch, "paths: 1 patches every path into it", ("patching",)),
    Parameter(
        "edges",
        None,
        whole_number(0, MAX_EDGES),
        "edges of the circuit, 0: enough",
        ("patching", "ablation"),
        unset="0",
    ),
)
BY_KEY = {parameter.key: parameter for parameter in PARAMETERS}
_NAMED = {name for p in PARAMETERS for name in (*p.pages, *p.begins)}
_UNKNOWN_PAGES = _NAMED - {page.name for page in PAGES}
assert not _UNKNOWN_PAGES, f"parameters of pages that do not exist: {_UNKNOWN_PAGES}"
