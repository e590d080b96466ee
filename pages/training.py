"""Training: how the model's heads formed, and any page on one of its checkpoints."""

from analysis.models.catalog import checkpoints, published_steps
from analysis.models.history import training_history
from app.sections.training.checkpoints import computed_history, draw_checkpoints
from app.sections.training.history import draw_history
from app.shell.page import open_page

selection = open_page("training")
if published_steps(selection.info):
    draw_checkpoints(selection.info)
    if computed := computed_history(selection.info):
        draw_history(selection, computed, tuple(computed.steps.tolist()))
else:
    draw_history(selection, training_history(selection.info), checkpoints(selection.info))
