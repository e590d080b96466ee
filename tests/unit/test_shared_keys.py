"""Heads that share keys and values: every number against the weights as their authors file them."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from analysis.circuits.composition import Kind, composition_scores
from analysis.circuits.ov_qk import ov_sample
from analysis.head import Head, all_heads
from analysis.models.loading import HeadModel
from analysis.runs.forward import run
from analysis.runs.inputs import tokenize
from analysis.runs.patterns import attention_patterns
from tests.architectures import hugging_face_weights, tiny

TEXT = "The cat sat on the mat, and the cat slept."
CIRCUITS = ("llama", "qwen2", "qwen3")
SHARED = (*CIRCUITS, "gemma2", "gemma3")

Part = Callable[[str, Head], torch.Tensor]


def parts(model: HeadModel, architecture: str) -> Part:
    """`part("v", head)`: its rows of a projection, [d_head, d_model], with the norm before it.

    Of `o` it is the columns, transposed to the same shape.
    """
    weights, size = hugging_face_weights(architecture), model.d_head

    def part(name: str, head: Head) -> torch.Tensor:
        layer = f"model.layers.{head.layer}"
        whole = weights[f"{layer}.self_attn.{name}_proj.weight"]
        if name == "o":
            return whole[:, head.head * size : (head.head + 1) * size].T
        # Two heads read the same keys and values: 0 and 1 the first ones, 2 and 3 the second.
        place = head.head if name == "q" else head.head // 2
        rows = whole[place * size : (place + 1) * size]
        return rows * weights[f"{layer}.input_layernorm.weight"]

    assert model.info.n_heads == 2 * model.info.n_kv_heads
    return part


@pytest.mark.parametrize("architecture", CIRCUITS)
def test_ov_circuits(architecture: str) -> None:
    model, ids = tiny(architecture), [3, 50, 700, 4000]
    part, weights = parts(model, architecture), hugging_face_weights(architecture)
    read = weights["model.embed_tokens.weight"][ids]
    written = weights["lm_head.weight"][ids] * weights["model.norm.weight"]
    seen = []
    for head in all_heads(model.info):
        expected = torch.einsum(
            "tm,em,en,un->tu", read, part("v", head), part("o", head), written
        ).numpy()
        found = ov_sample(model, head, ids, embedding="raw").values
        np.testing.assert_allclose(found, expected, atol=1e-4)
        seen.append(expected)
    # Any mix-up of heads or groups would show.
    assert min(np.abs(a - b).max() for i, a in enumerate(seen) for b in seen[:i]) > 1e-2


@pytest.mark.parametrize(
    ("architecture", "kind"),
    [*((name, kind) for name in ("llama", "qwen2") for kind in ("Q", "K", "V")), ("qwen3", "V")],
)
def test_qk_and_ov_circuits_in_composition(architecture: str, kind: Kind) -> None:
    model = tiny(architecture)
    part = parts(model, architecture)
    found = composition_scores(model, kind).values

    def reads(head: Head) -> torch.Tensor:
        """What a head makes of the stream: rows are what is read."""
        first, second = {"Q": ("q", "k"), "K": ("k", "q"), "V": ("v", "o")}[kind]
        return torch.einsum("em,en->mn", part(first, head), part(second, head))

    for writer in all_heads(model.info):
        for reader in all_heads(model.info):
            if writer.layer >= reader.layer:
                continue
            ov = torch.einsum("em,en->mn", part("v", writer), part("o", writer))
            expected = (ov @ reads(reader)).norm() / ov.norm() / reads(reader).norm()
            value = found[writer.layer, writer.head, reader.layer, reader.head]
            assert value == pytest.approx(float(expected), abs=1e-4)


@pytest.mark.parametrize("architecture", SHARED)
def test_patterns_and_z_of_the_first_layer(architecture: str) -> None:
    """Of Gemma no circuit is defined here; what its heads share is in its patterns and its z."""
    model, gemma = tiny(architecture), architecture.startswith("gemma")
    weights, size = hugging_face_weights(architecture), model.d_head
    tokens = tokenize(model, TEXT)
    n = tokens.length
    layer = "model.layers.0."

    def normed(x: torch.Tensor, name: str) -> torch.Tensor:
        weight = weights[name] + 1 if gemma else weights[name]
        return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight

    def projected(name: str) -> torch.Tensor:
        """Queries, keys or values, [head, pos, d_head]."""
        x = stream @ weights[f"{layer}self_attn.{name}_proj.weight"].T
        x = x + weights.get(f"{layer}self_attn.{name}_proj.bias", torch.zeros(1))
        x = x.unflatten(-1, (-1, size)).transpose(0, 1)
        if f"{layer}self_attn.{name}_norm.weight" in weights:
            x = normed(x, f"{layer}self_attn.{name}_norm.weight")
        return x

    def turned(x: torch.Tensor) -> torch.Tensor:
        angles = torch.arange(n)[:, None] * 10_000.0 ** (-torch.arange(0, size, 2) / size)
        cos, sin = angles.cos().repeat(1, 2), angles.sin().repeat(1, 2)
        first, second = x.chunk(2, -1)
        return x * cos + torch.cat([-second, first], -1) * sin

    stream = weights["model.embed_tokens.weight"][tokens.tensor[0]]
    if gemma:
        stream = stream * model.d_model**0.5
    stream = normed(stream, f"{layer}input_layernorm.weight")
    queries, keys, values = turned(projected("q")), turned(projected("k")), projected("v")
    keys, values = keys[[0, 0, 1, 1]], values[[0, 0, 1, 1]]
    scores = torch.einsum("hqe,hke->hqk", queries, keys) / (256 if gemma else size) ** 0.5
    if architecture == "gemma2":
        scores = 50 * (scores / 50).tanh()
    window = 8 if architecture == "gemma3" else n
    seen = torch.ones(n, n).tril().triu(1 - window).bool()
    pattern = scores.masked_fill(~seen, -torch.inf).softmax(-1)
    found = attention_patterns(model, tokens, [0]).values[0, 0]
    np.testing.assert_allclose(found, pattern, atol=1e-5)
    _, kept = run(model, tokens.tensor, ["blocks.0.attn.hook_z"])
    z = torch.einsum("hqk,hke->qhe", pattern, values)
    np.testing.assert_allclose(kept["blocks.0.attn.hook_z"][0], z, atol=1e-4)
