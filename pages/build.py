"""Build: a circuit by hand, and whether it is enough, complete and minimal."""

from app.frame.frame import part
from app.sections.by_hand.graph import draw_circuit
from app.sections.by_hand.scores import draw_scores
from app.sections.by_hand.subject import BuildView
from app.shell.page import open_page

selection = open_page("build")
with part():
    view = BuildView.of(selection)
    draw_circuit(view)
    draw_scores(view)
