"""Training: how the model's heads formed, and any page on one of its checkpoints."""

from analysis.catalog import checkpoints, published_steps
from analysis.history import training_history
from app.published_view import computed_history, draw_checkpoints
from app.selection import open_page
from app.training_view import draw_history

selection = open_page("training")
if published_steps(selection.info):
    draw_checkpoints(selection.info)
    if computed := computed_history(selection.info):
        draw_history(selection, computed, tuple(computed.steps.tolist()))
else:
    draw_history(selection, training_history(selection.info), checkpoints(selection.info))
