"""Sets: what every head does over a set of prompts, with how sure that is."""

from app.sections.sets.page import draw_over_set
from app.shell.page import open_page

draw_over_set(open_page("sets"))
