"""Neurons: which fire on this text, where, and which tokens they promote."""

from analysis.models.capabilities import why_not
from app.compute import calls
from app.frame.layout import beside
from app.pickers.sequence import choose_sequence
from app.sections import neurons as neuron_view
from app.shell.page import open_page

selection = open_page("neurons")
tokens = calls.tokens_of(selection)
if reason := why_not(neuron_view.NEURONS, selection.info):
    neuron_view.explain_absence(selection, reason)
else:
    row = choose_sequence(selection, tokens)
    view = neuron_view.NeuronView.of(selection, tokens, row)
    neuron_view.choose_neuron(view)
    strongest, says = beside("tables", 370, 400)
    with strongest:
        neuron_view.draw_strongest(view)
    with says:
        neuron_view.draw_promoted(view)
    neuron_view.draw_activation(view)
    neuron_view.draw_circuitsvis(view)
