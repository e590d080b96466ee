"""Start: every head at work on a text, ways on, finished views, and the model's card."""

from app.compute.server import current_server
from app.sections.start.heads import draw_text_and_heads
from app.sections.start.model import draw_model
from app.sections.start.ways import draw_doors, draw_presets
from app.shell.page import open_page

selection = open_page("start")
draw_text_and_heads(selection)
draw_doors(selection)
draw_presets()
draw_model(selection)

# Last, so that the page is on screen before torch and TransformerLens are imported.
current_server().warm_up(selection.info.name)
