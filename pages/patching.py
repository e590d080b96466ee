"""Patching: what brings a clean prompt's answer back, and the circuit behind a prediction."""

from app import patching_circuit, patching_sections
from app.selection import open_page

selection = open_page("patching")
view = patching_sections.draw_prompts(selection)
if view:
    patching_sections.draw_overview(view)
    patching_sections.draw_exact(view)
    patching_sections.draw_paths(view)
patching_circuit.draw_circuit(selection)
