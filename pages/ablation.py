"""Ablation: how much the loss rises when the output of heads is replaced."""

from app.ablation_joint import draw_pairs, draw_together
from app.ablation_kept import draw_keep_only
from app.ablation_method import choose_method
from app.ablation_offsets import draw_offsets
from app.ablation_repeats import draw_repeats
from app.ablation_sweep import draw_sweep
from app.ablation_view import AblationView
from app.frame import part
from app.selection import open_page

view = AblationView.of(open_page("ablation"))
choose_method(view.selection, "What a head's output is replaced by")
with part():
    values = draw_sweep(view)
    draw_together(view)
    draw_pairs(view, values)
draw_keep_only(view)
draw_offsets(view)
draw_repeats(view)
