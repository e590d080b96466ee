"""Activations: what the model is made of, and what passes through it, one activation at a time."""

from app.compute import calls
from app.frame.clicks import open_head, open_more_text
from app.frame.layout import beside
from app.pickers.sequence import choose_sequence
from app.sections import activations as activation_view
from app.shell.page import open_page

selection = open_page("activations")
tokens = calls.tokens_of(selection)
row = choose_sequence(selection, tokens)
view = activation_view.ActivationView.of(selection, tokens, row)
activation_view.choose_place(selection, view)
picture, values = beside("places", 330, 440)
with picture:
    activation_view.draw_architecture(view)
with values:
    activation_view.draw_slice(view)
    open_head(selection, view.head)
    open_more_text(selection, view.head)
activation_view.draw_check(view)
activation_view.draw_weight(view)
activation_view.draw_lists(view)
