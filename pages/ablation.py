"""Ablation: how much the loss rises when the output of heads is replaced."""

from app import ablation_sections
from app.selection import open_page

view = ablation_sections.AblationView.of(open_page("ablation"))
ablation_sections.draw_sweep(view)
ablation_sections.draw_keep_only(view)
ablation_sections.draw_offsets(view)
ablation_sections.draw_pairs(view)
