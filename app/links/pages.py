"""The one table of pages."""

from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).resolve().parents[2] / "pages"


@dataclass(frozen=True, slots=True)
class PageInfo:
    """One page: its file is `pages/<name>.py`, its address `/<name>` (`/` for the start page)."""

    name: str
    title: str
    icon: str
    section: str
    question: str  # what a person comes to the page for, shown under its title

    @property
    def file(self) -> Path:
        """The script of the page."""
        return _FOLDER / f"{self.name}.py"

    @property
    def address(self) -> str:
        """The part of the link after the host."""
        return "" if self.name == "start" else self.name


PAGES = (
    PageInfo("start", "Headscope", ":material/visibility:", "Start", ""),
    PageInfo(
        "learn",
        "Learn",
        ":material/school:",
        "Start",
        "How does one find out what a head does?",
    ),
    PageInfo(
        "glossary",
        "Glossary",
        ":material/menu_book:",
        "Start",
        "What do the words mean?",
    ),
    PageInfo(
        "tokens",
        "Tokens",
        ":material/match_word:",
        "Look",
        "What does the model see, and which next tokens does it get right?",
    ),
    PageInfo(
        "attention",
        "Attention",
        ":material/grid_view:",
        "Look",
        "Where does each head look?",
    ),
    PageInfo(
        "head",
        "Head",
        ":material/center_focus_strong:",
        "Look",
        "What does this head do?",
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
        "finder",
        "Finder",
        ":material/search:",
        "Find",
        "Which head does what?",
    ),
    PageInfo(
        "induction",
        "Induction",
        ":material/repeat:",
        "Find",
        "Which heads continue what has been seen before?",
    ),
    PageInfo(
        "mosaic",
        "Mosaic",
        ":material/apps:",
        "Find",
        "Which models have such heads, and where?",
    ),
    PageInfo(
        "training",
        "Training",
        ":material/timeline:",
        "Find",
        "When do heads form?",
    ),
    PageInfo(
        "attribution",
        "Attribution",
        ":material/stacked_bar_chart:",
        "Test",
        "Which component pushes towards which next token?",
    ),
    PageInfo(
        "ablation",
        "Ablation",
        ":material/content_cut:",
        "Test",
        "Which heads does the model need?",
    ),
    PageInfo(
        "patching",
        "Patching",
        ":material/swap_horiz:",
        "Test",
        "Which activations bring the answer back, and along which path?",
    ),
    PageInfo(
        "circuits",
        "Circuits",
        ":material/schema:",
        "Explain",
        "What does a head do, by its weights alone?",
    ),
    PageInfo(
        "composition",
        "Composition",
        ":material/hub:",
        "Explain",
        "Which heads work together?",
    ),
    PageInfo(
        "compare",
        "Compare",
        ":material/compare:",
        "Compare",
        "What differs between the two?",
    ),
)


def page_info(name: str) -> PageInfo:
    """The row of the table for the page called `name`."""
    return next(page for page in PAGES if page.name == name)
