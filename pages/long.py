"""Long text: patterns of thousands of tokens, of which none is held whole."""

from app.frame.clicks import open_head
from app.frame.frame import part
from app.sections.long import choose_text, draw_row, draw_tiles
from app.shell.page import open_page

selection = open_page("long")
with part():
    view = draw_tiles(choose_text(selection))
    if view:
        draw_row(view)
        open_head(view.selection, view.head)
