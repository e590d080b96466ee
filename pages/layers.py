"""Layers: a forward pass, played."""

from app.compute import calls
from app.pickers.sequence import choose_sequence
from app.sections.layers import draw_pass
from app.shell.page import open_page

selection = open_page("layers")
tokens = calls.tokens_of(selection)
draw_pass(selection, tokens, choose_sequence(selection, tokens))
