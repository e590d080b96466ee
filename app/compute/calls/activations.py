"""Questions about activations, parameters and neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import analysis
from analysis.head import Head
from app.compute.ask import ask
from app.compute.calls.inputs import of_sequence, one_sequence, tokens_of
from app.compute.question import Question
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.activations import Activation, HookPoint, PatternCheck
    from analysis.circuits.ranking import TokenRanking
    from analysis.models.info import ModelInfo
    from analysis.models.parameters import HeadWeight, Parameter, WeightName
    from analysis.neurons import NeuronActivations, NeuronPeaks

PARAMETERS = Question("parameters", lambda: analysis.parameters, logits="none")
HOOK_POINTS = Question("hook_points", lambda: analysis.hook_points, logits="none")
PROMOTED_TOKENS = Question("promoted_tokens", lambda: analysis.promoted_tokens)
ACTIVATION = Question("activation", lambda: analysis.activation)
HEAD_WEIGHT = Question("head_weight", lambda: analysis.head_weight, logits="none")
VERIFY_PATTERN = Question("verify_pattern", lambda: analysis.verify_pattern, logits="none")


def _neurons(info: ModelInfo, tokens: int) -> int:
    """Bytes of the neurons of all layers, a few times."""
    return 3 * 4 * info.n_layers * info.d_mlp * tokens


NEURON_PEAKS = Question(
    "neuron_peaks", lambda: analysis.neuron_peaks, logits="none", beside=_neurons
)
NEURON_ACTIVATIONS = Question(
    "neuron_activations", lambda: analysis.neuron_activations, logits="none"
)


def parameters(selection: Selection) -> tuple[Parameter, ...]:
    """Every weight tensor of the model."""
    return ask(PARAMETERS, selection.info)


def hook_points(selection: Selection) -> tuple[HookPoint, ...]:
    """Every activation of the model that can be read."""
    return ask(HOOK_POINTS, selection.info)


def activation(selection: Selection, sequence: int, name: str) -> Activation:
    """One activation on one of the view's sequences, batch of 1."""
    return of_sequence(ACTIVATION, selection, sequence, name)


def head_weight(selection: Selection, head: Head, name: WeightName) -> HeadWeight:
    """One head's own part of a weight."""
    return ask(HEAD_WEIGHT, selection.info, head, name)


def verify_pattern(selection: Selection, sequence: int, layer: int) -> PatternCheck:
    """A layer's pattern worked out by hand, on one of the view's sequences."""
    return of_sequence(VERIFY_PATTERN, selection, sequence, layer)


def neuron_peaks(selection: Selection, sequence: int) -> NeuronPeaks:
    """Where every neuron fires most on one of the view's sequences."""
    tokens = tokens_of(selection)
    # Tokens are remembered by their ids, which do not say whether the first one is BOS.
    one = one_sequence(tokens, sequence)
    return ask(NEURON_PEAKS, selection.info, one, skip_first=tokens.has_bos)


def neuron_activations(selection: Selection, sequence: int, layer: int) -> NeuronActivations:
    """The neurons of one layer on one of the view's sequences, batch of 1."""
    return of_sequence(NEURON_ACTIVATIONS, selection, sequence, layer)


def promoted_tokens(
    selection: Selection, layer: int, neuron: int
) -> tuple[TokenRanking, TokenRanking]:
    """The tokens a neuron raises and those it lowers."""
    return ask(PROMOTED_TOKENS, selection.info, layer, neuron)
