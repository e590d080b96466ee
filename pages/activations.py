"""Activations: what the model is made of, and what passes through it, one activation at a time."""

from app import activation_view, backend
from app.frame import beside, open_head
from app.selection import open_page
from app.sequences import choose_sequence

selection = open_page("activations")
tokens = backend.tokens_of(selection)
row = choose_sequence(selection, tokens)
view = activation_view.ActivationView.of(selection, tokens, row)
activation_view.choose_place(selection, view)
picture, values = beside("places", 330, 440)
with picture:
    activation_view.draw_architecture(view)
with values:
    activation_view.draw_slice(view)
    open_head(selection, view.head)
activation_view.draw_check(view)
activation_view.draw_lists(view)
