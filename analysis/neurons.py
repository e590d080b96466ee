"""Neurons of the MLPs: where they fire on a prompt, and which tokens they promote."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from analysis.arrays import freeze, to_numpy
from analysis.circuits.ranking import TokenRanking, rank_tokens
from analysis.circuits.weights import unembed
from analysis.errors import AnalysisError
from analysis.limits import MAX_BYTES
from analysis.models.capabilities import require_mlps
from analysis.models.loading import HeadModel
from analysis.models.norms import weighted
from analysis.runs.forward import run_without_logits
from analysis.runs.inputs import Tokens


@dataclass(frozen=True, eq=False)
class NeuronActivations:
    """Activations of one layer's neurons, after the activation function."""

    layer: int
    values: Float[np.ndarray, "batch pos neuron"]

    def __post_init__(self) -> None:
        if not np.isfinite(self.values).all():
            raise ValueError("a neuron's activation is not finite")
        freeze(self, "values")

    def strongest(self, n: int, skip_first: bool = True) -> list[tuple[int, float]]:
        """The n neurons with the highest activation anywhere, as `(neuron, that activation)`.

        `skip_first` leaves position 0 out: on the BOS token many neurons fire on any prompt.
        """
        highest = self.values[:, int(skip_first) :].max((0, 1))
        return [(int(i), float(highest[i])) for i in np.argsort(-highest, kind="stable")[:n]]


@dataclass(frozen=True, eq=False)
class NeuronPeaks:
    """Where each neuron fires most: its highest activation, and the sequence and position of it."""

    values: Float[np.ndarray, "layer neuron"]
    sequences: Int[np.ndarray, "layer neuron"]
    positions: Int[np.ndarray, "layer neuron"]

    def __post_init__(self) -> None:
        freeze(self, "values", "sequences", "positions")

    def strongest(self, n: int, layer: int | None = None) -> list[tuple[int, int]]:
        """The n neurons of highest activation as `(layer, neuron)`, of one layer or of all."""
        first, values = (0, self.values) if layer is None else (layer, self.values[[layer]])
        order = np.argsort(-values, axis=None, kind="stable")[:n]
        found = zip(*np.unravel_index(order, values.shape), strict=True)
        return [(first + int(row), int(neuron)) for row, neuron in found]


def neuron_peaks(
    model: HeadModel, tokens: Tokens, *, skip_first: bool | None = None
) -> NeuronPeaks:
    """The highest activation of every neuron of the model, and where it is.

    value[layer, neuron] = max over sequences and positions of its activation; of equal ones the
    first. Position 0 is left out where it is BOS, for there many neurons fire on any prompt.

    Args:
        model: The model.
        tokens: Its tokens.
        skip_first: Whether position 0 is left out; by default where `tokens.has_bos`. The same ids
            give other answers, so whoever keeps them by their ids has to tell these apart.

    Raises:
        AnalysisError: A model without MLPs, or activations larger than
            `analysis.limits.MAX_BYTES`.
    """
    _require_neurons(model, 0)
    size = 4 * tokens.batch * tokens.length * model.info.d_mlp * model.n_layers
    if size > MAX_BYTES:
        raise AnalysisError(
            f"The neurons of all layers would take {size / 2**20:,.0f} MiB; the limit is "
            f"{MAX_BYTES / 2**20:,.0f}. Use fewer sequences or tokens."
        )
    names = [f"blocks.{layer}.mlp.hook_post" for layer in range(model.n_layers)]
    kept = run_without_logits(model, tokens.tensor, names)
    first = int(tokens.has_bos if skip_first is None else skip_first)
    # In numpy, whose argmax is the first of equal ones.
    fired = [to_numpy(kept.pop(name)[:, first:].flatten(0, 1)) for name in names]
    sequences, positions = np.divmod(
        np.stack([each.argmax(0) for each in fired]), tokens.length - first
    )
    return NeuronPeaks(np.stack([each.max(0) for each in fired]), sequences, positions + first)


def neuron_activations(model: HeadModel, tokens: Tokens, layer: int) -> NeuronActivations:
    """How strongly each neuron of a layer fires at each position.

    value[pos, neuron] = act(norm(resid_mid[pos]) . W_in[:, neuron] + b_in), as the model computed
    it; with GELU about -0.17 upwards. Source: ARENA 1.2, section 1.7.

    Raises:
        AnalysisError: A model without MLPs, or a layer that does not exist.
    """
    _require_neurons(model, layer)
    name = f"blocks.{layer}.mlp.hook_post"
    kept = run_without_logits(model, tokens.tensor, [name])
    return NeuronActivations(layer, to_numpy(kept[name]))


def promoted_tokens(
    model: HeadModel, layer: int, neuron: int, top: int = 10
) -> tuple[TokenRanking, TokenRanking]:
    """The tokens whose logits a neuron raises most, and those it lowers most.

    value[token] = W_out[neuron] . W_U[:, token]: logits for one unit of activation, along the
    direct path only. The weights of the final norm, and of a norm after the MLP (Gemma), are folded
    in and their scales count as 1.
    The second ranking holds the amounts by which tokens are lowered, positive.
    Source: Geva et al. 2022.

    Raises:
        AnalysisError: A model without MLPs, or a layer or neuron that does not exist.
    """
    _require_neurons(model, layer)
    if not 0 <= neuron < model.info.d_mlp:
        raise AnalysisError(
            f"Neuron {neuron} was asked for; a layer of {model.name} has 0 to "
            f"{model.info.d_mlp - 1}."
        )
    block = model.bridge.blocks[layer]
    written = block.mlp.W_out[neuron]
    if (after := getattr(block, "ln2_post", None)) is not None:
        written = weighted(after, written)
    values = unembed(model, written * model.info.traits.mlp_factor)
    return rank_tokens(model, values, top), rank_tokens(model, -values, top)


def _require_neurons(model: HeadModel, layer: int) -> None:
    require_mlps(model.info)
    if not 0 <= layer < model.n_layers:
        raise AnalysisError(
            f"Layer {layer} was asked for; {model.name} has layers 0 to {model.n_layers - 1}."
        )
