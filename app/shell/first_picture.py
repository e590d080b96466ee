"""The first pictures of the start page and of attention, which stand in the page that is served.

A browser shows it while it still loads Streamlit's scripts, before a session is there, and the
viewer that draws the same with life takes it away.

    python -m app.shell.first_picture

writes it again, as it must be when weights or the text have changed (a test says so).
"""

from app.compute import calls
from app.compute.server import Server
from app.compute.shipped import first_view, start_view
from app.config import Config
from app.figures.pixels import heads_picture
from app.links.selection import Selection
from app.shell.preview import FIRST_PICTURES
from app.text import escape_html
from app.theme import DARK, LIGHT, Palette

# After so many seconds something is wrong, and whatever the page says is to be seen.
_GONE = 12


def first_picture(view: Selection) -> str:
    """The picture of a page as it opens, as HTML, from what comes with the first model."""
    info = view.info
    with Server(Config()).used():
        patterns = calls.patterns(view, 0, tuple(range(info.n_layers))).values[0]
    title = escape_html(info.title)
    light, dark = (heads_picture(patterns, palette) for palette in (LIGHT, DARK))
    return f"""<div id="first-picture"><style>
#first-picture{{position:fixed;inset:0;z-index:9999;display:grid;place-content:center;gap:1rem;
padding:1rem;pointer-events:none;font:400 1rem/1.4 sans-serif;{_colours(LIGHT)};
animation:first-picture-gone 0s {_GONE}s forwards}}
#first-picture p{{margin:0}}
#first-picture img{{width:min(56rem,92vw);height:auto;image-rendering:pixelated}}
@keyframes first-picture-gone{{to{{visibility:hidden}}}}
@media(prefers-color-scheme:dark){{#first-picture{{{_colours(DARK)}}}}}
</style><p><b>Headscope</b> · what each of the {info.n_layers * info.n_heads} heads of {title} looks
at</p><picture><source media="(prefers-color-scheme: dark)" srcset="{dark}"><img alt="One small
attention pattern for each head" src="{light}"></picture></div>
"""


def _colours(palette: Palette) -> str:
    return f"color:{palette.text};background:{palette.background}"


if __name__ == "__main__":
    for opened in (start_view(), first_view()):
        FIRST_PICTURES[opened.page].write_text(first_picture(opened), encoding="utf-8")
