"""The one table of pages."""

from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

# What a page asks of a visitor in the sidebar: a model and an input; a model and whether BOS stands
# in front, for prompts that are typed on the page; a model and a set of prompts; a model; nothing,
# as what it is about is chosen on the page itself; nothing at all.
Asks = Literal["input", "prompts", "set", "model", "here", "nothing"]


@dataclass(frozen=True, slots=True)
class PageInfo:
    """One page: its file is `pages/<name>.py`, its address `/<name>` (`/` for the start page).

    Args:
        name: Its name.
        title: Its title, in the menu too.
        icon: A Material Symbol.
        section: The menu that it stands in; empty for the way home, which stands before all menus.
        question: What a person comes to the page for, shown under its title.
        asks: What is chosen in its sidebar.
        repeated: Why its question is best asked of repeated tokens, with which it then begins.
        over_sets: Whether a set of prompts is an input of it too: what it measures has a mean then.
        encoders: Whether it has something to show of an encoder, or nothing of any one model.
    """

    name: str
    title: str
    icon: str
    section: str
    question: str
    asks: Asks = "input"
    repeated: str = ""
    over_sets: bool = False
    encoders: bool = False

    @property
    def file(self) -> PurePath:
        """The script of the page, from the folder of the entry point."""
        return PurePath("pages", f"{self.name}.py")

    @property
    def has_sidebar(self) -> bool:
        """Whether anything is chosen there; without it would be an empty quarter of the screen."""
        return self.asks not in ("here", "nothing")

    @property
    def address(self) -> str:
        """The part of the link after the host."""
        return "" if self.name == "start" else self.name


PAGES = (
    PageInfo(
        "start",
        "Headscope",
        ":material/visibility:",
        "",
        "What does every attention head of a language model do?",
        asks="here",
        encoders=True,
    ),
    PageInfo(
        "learn",
        "Learn",
        ":material/school:",
        "Learn",
        "How does one find out what a head does?",
        asks="nothing",
    ),
    PageInfo(
        "glossary",
        "Glossary",
        ":material/menu_book:",
        "Learn",
        "What do the words mean?",
        asks="nothing",
        encoders=True,
    ),
    PageInfo(
        "join",
        "Join",
        ":material/group_add:",
        "Learn",
        "Which room do you want to follow?",
        asks="nothing",
        encoders=True,
    ),
    PageInfo(
        "tokens",
        "Tokens",
        ":material/match_word:",
        "Look",
        "What does the model see, and which next tokens does it get right?",
        encoders=True,
    ),
    PageInfo(
        "attention",
        "Attention",
        ":material/grid_view:",
        "Look",
        "Where does each head look?",
        over_sets=True,
        encoders=True,
    ),
    PageInfo(
        "head",
        "Head",
        ":material/center_focus_strong:",
        "Look",
        "What does this head do?",
        encoders=True,
    ),
    PageInfo(
        "layers",
        "Layers",
        ":material/animation:",
        "Look",
        "How does the next token come about, layer by layer?",
    ),
    PageInfo(
        "activations",
        "Activations",
        ":material/schema:",
        "Look",
        "What is inside the model, and what passes through it?",
    ),
    PageInfo(
        "neurons",
        "Neurons",
        ":material/scatter_plot:",
        "Look",
        "What does this neuron fire on, and what does it say?",
    ),
    PageInfo(
        "long",
        "Long text",
        ":material/format_line_spacing:",
        "Look",
        "Where does this head look in a text of thousands of tokens?",
        asks="model",
    ),
    PageInfo(
        "corpus",
        "Corpus",
        ":material/auto_stories:",
        "Look",
        "What does this head do over a whole text?",
        asks="model",
    ),
    PageInfo(
        "finder",
        "Finder",
        ":material/search:",
        "Find",
        "Which head does what?",
        repeated="On repeated tokens every score is defined, and meaning cannot stand in "
        "for position and copying.",
        over_sets=True,
        encoders=True,
    ),
    PageInfo(
        "induction",
        "Induction",
        ":material/repeat:",
        "Find",
        "Which heads continue what has been seen before?",
        repeated="On repeated tokens only a head that finds the earlier copy can predict "
        "the second half.",
        over_sets=True,
    ),
    PageInfo(
        "roles",
        "Roles",
        ":material/theater_comedy:",
        "Find",
        "Which heads look like which role on a set of prompts, and do they matter?",
        asks="set",
    ),
    PageInfo(
        "sets",
        "Sets",
        ":material/list_alt:",
        "Find",
        "What does every head do over a set of prompts, and how sure is that?",
        asks="set",
    ),
    PageInfo(
        "mosaic",
        "Mosaic",
        ":material/apps:",
        "Find",
        "Which models have such heads, and where?",
        asks="nothing",
        encoders=True,
    ),
    PageInfo(
        "training",
        "Training",
        ":material/timeline:",
        "Find",
        "When do heads form?",
        asks="model",
    ),
    PageInfo(
        "attribution",
        "Attribution",
        ":material/stacked_bar_chart:",
        "Test",
        "Which component pushes towards which next token?",
        over_sets=True,
    ),
    PageInfo(
        "ablation",
        "Ablation",
        ":material/content_cut:",
        "Test",
        "Which heads does the model need?",
        repeated="On repeated tokens the second half rests on few heads, so what breaks "
        "without them is plain.",
        over_sets=True,
        encoders=True,
    ),
    PageInfo(
        "patching",
        "Patching",
        ":material/swap_horiz:",
        "Test",
        "Which activations bring the answer back, and along which path?",
        asks="prompts",
        over_sets=True,
        encoders=True,
    ),
    PageInfo(
        "intervene",
        "Intervene",
        ":material/tune:",
        "Test",
        "What changes if I change this head?",
    ),
    PageInfo(
        "build",
        "Build",
        ":material/account_tree:",
        "Test",
        "Which heads are enough for the task, and is each of them needed?",
        asks="set",
    ),
    PageInfo(
        "circuits",
        "Circuits",
        ":material/schema:",
        "Explain",
        "What does a head do, by its weights alone?",
        asks="model",
    ),
    PageInfo(
        "composition",
        "Composition",
        ":material/hub:",
        "Explain",
        "Which heads work together?",
        repeated="On repeated tokens the stripe is there that one head makes for another, "
        "whatever the text.",
    ),
    PageInfo(
        "compare",
        "Compare",
        ":material/compare:",
        "Compare",
        "What differs between the two?",
        repeated="On repeated tokens the stripe of an induction head is there, and gone "
        "without what it rests on.",
        over_sets=True,
    ),
    PageInfo(
        "findings",
        "Findings",
        ":material/bookmarks:",
        "Keep",
        "What have I found, and does it hold?",
        asks="nothing",
        encoders=True,
    ),
)


def page_info(name: str) -> PageInfo:
    """The row of the table for the page called `name`."""
    return next(page for page in PAGES if page.name == name)
