"""Questions about activations, parameters and neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.compute.ask import ask
from app.compute.calls.inputs import of_sequence
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.activations import Activation, HookPoint, Parameter, PatternCheck
    from analysis.circuits.ranking import TokenRanking
    from analysis.neurons import NeuronActivations, NeuronPeaks


def parameters(selection: Selection) -> tuple[Parameter, ...]:
    """Every weight tensor of the model."""
    return ask(selection, "parameters")


def hook_points(selection: Selection) -> tuple[HookPoint, ...]:
    """Every activation of the model that can be read."""
    return ask(selection, "hook_points")


def activation(selection: Selection, sequence: int, name: str) -> Activation:
    """One activation on one of the view's sequences, batch of 1."""
    return of_sequence(selection, sequence, "activation", name)


def verify_pattern(selection: Selection, sequence: int, layer: int) -> PatternCheck:
    """A layer's pattern worked out by hand, on one of the view's sequences."""
    return of_sequence(selection, sequence, "verify_pattern", layer)


def neuron_peaks(selection: Selection, sequence: int) -> NeuronPeaks:
    """Where every neuron fires most on one of the view's sequences."""
    return of_sequence(selection, sequence, "neuron_peaks")


def neuron_activations(selection: Selection, sequence: int, layer: int) -> NeuronActivations:
    """The neurons of one layer on one of the view's sequences, batch of 1."""
    return of_sequence(selection, sequence, "neuron_activations", layer)


def promoted_tokens(
    selection: Selection, layer: int, neuron: int
) -> tuple[TokenRanking, TokenRanking]:
    """The tokens a neuron raises and those it lowers."""
    return ask(selection, "promoted_tokens", layer, neuron)
