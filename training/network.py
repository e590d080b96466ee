"""The network in plain torch, with the parameter names of TransformerLens's native bridge."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Architecture:
    """Sizes of a decoder-only transformer; `d_mlp` 0 means attention only."""

    n_layers: int
    n_heads: int
    d_model: int
    d_head: int
    n_ctx: int
    d_mlp: int
    layer_norm: bool


@dataclass(frozen=True)
class InitialScales:
    """Standard deviations at the start.

    For the sinusoidal positions it is the amplitude; for what attention and MLPs write to the
    residual stream it is relative to 1 / sqrt(d_model) and 1 / sqrt(d_mlp).
    """

    embedding_scale: float
    position_scale: float
    unembedding_scale: float
    output_scale: float


class Attention(nn.Module):
    """Causal multi-head attention; biases exist for the file format and stay zero."""

    def __init__(self, size: Architecture, output_scale: float):
        super().__init__()
        self.shape = (size.n_heads, size.d_head)
        inner = size.n_heads * size.d_head
        self.q, self.k, self.v = (nn.Linear(size.d_model, inner) for _ in range(3))
        self.o = nn.Linear(inner, size.d_model)
        for projection in (self.q, self.k, self.v, self.o):
            nn.init.normal_(projection.weight, std=size.d_model**-0.5)
            nn.init.zeros_(projection.bias)
            projection.bias.requires_grad_(False)
        self.o.weight.data *= output_scale

    def forward(self, x: Tensor) -> Tensor:
        def split(y: Tensor) -> Tensor:
            return y.unflatten(-1, self.shape).transpose(1, 2)

        z = functional.scaled_dot_product_attention(
            split(self.q(x)), split(self.k(x)), split(self.v(x)), is_causal=True
        )
        return self.o(z.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """GELU MLP. The parameters are called `in` and `out`, as in TransformerLens."""

    def __init__(self, size: Architecture, output_scale: float):
        super().__init__()
        self.add_module("in", nn.Linear(size.d_model, size.d_mlp))
        self.out = nn.Linear(size.d_mlp, size.d_model)
        nn.init.normal_(self.out.weight, std=output_scale * size.d_mlp**-0.5)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(functional.gelu(self.get_submodule("in")(x)))


class Block(nn.Module):
    """Attention, then an MLP where there is one, each adding to the residual stream."""

    def __init__(self, size: Architecture, output_scale: float):
        super().__init__()
        self.attn = Attention(size, output_scale)
        self.ln1 = nn.LayerNorm(size.d_model) if size.layer_norm else None
        self.mlp = Mlp(size, output_scale) if size.d_mlp else None
        self.ln2 = nn.LayerNorm(size.d_model) if size.layer_norm and size.d_mlp else None

    def forward(self, resid: Tensor) -> Tensor:
        resid = resid + self.attn(self.ln1(resid) if self.ln1 else resid)
        if self.mlp:
            resid = resid + self.mlp(self.ln2(resid) if self.ln2 else resid)
        return resid


class Network(nn.Module):
    """Embedding plus learned positions, blocks, unembedding; logits [batch, pos, d_vocab]."""

    def __init__(self, size: Architecture, d_vocab: int, initial: InitialScales):
        super().__init__()
        self.embed = nn.Embedding(d_vocab, size.d_model)
        self.pos_embed = nn.Embedding(size.n_ctx, size.d_model)
        self.blocks = nn.ModuleList(Block(size, initial.output_scale) for _ in range(size.n_layers))
        self.ln_final = nn.LayerNorm(size.d_model) if size.layer_norm else None
        self.unembed = nn.Linear(size.d_model, d_vocab)
        nn.init.normal_(self.embed.weight, std=initial.embedding_scale)
        self.pos_embed.weight.data = sinusoids(size.n_ctx, size.d_model) * initial.position_scale
        nn.init.normal_(self.unembed.weight, std=initial.unembedding_scale)
        nn.init.zeros_(self.unembed.bias)
        self.unembed.bias.requires_grad_(False)

    def final_residual(self, tokens: Tensor) -> Tensor:
        """What the unembedding reads, [batch, pos, d_model]."""
        resid = self.embed(tokens) + self.pos_embed.weight[: tokens.shape[1]]
        for block in self.blocks:
            resid = block(resid)
        return self.ln_final(resid) if self.ln_final else resid

    def forward(self, tokens: Tensor) -> Tensor:
        return self.unembed(self.final_residual(tokens))


def sinusoids(n_ctx: int, d_model: int) -> Tensor:
    """Sine and cosine position vectors [n_ctx, d_model], amplitude 1 (Vaswani et al. 2017)."""
    position = torch.arange(n_ctx).float()[:, None]
    frequency = torch.exp(torch.arange(0, d_model, 2).float() * (-math.log(10_000.0) / d_model))
    angles = position * frequency
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
