"""Attention-only models with shortformer positions, such as the toy model of the ARENA course.

Position vectors are added to what queries and keys read, and to nothing else: the residual stream
and the values hold no positions (Press et al. 2020). TransformerLens 4's own native model knows no
such positions and its loader refuses them, hence these two classes; all else is its own.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module
from transformer_lens.model_bridge.sources.native import (
    NativeAttention,
    NativeModel,
    initialize_native_model,
)
from transformers import PreTrainedTokenizerBase


def shortformer_bridge(
    config: TransformerBridgeConfig, tokenizer: PreTrainedTokenizerBase | None, device: str
) -> TransformerBridge:
    """A bridge of the configured sizes with random weights, in evaluation mode."""
    model = _ShortformerModel(config)
    initialize_native_model(model, config)
    bridge = build_bridge_from_module(
        model.to(device), "TransformerLensNative", tl_config=config, tokenizer=tokenizer
    )
    return bridge.eval()


class _ShortformerAttention(NativeAttention):
    """Attention whose queries and keys see the positions, and whose values do not."""

    # In a tuple: as an attribute it would be registered again, as this block's own parameter.
    positions: tuple[torch.nn.Embedding]

    def forward(
        self,
        hidden_states: Float[Tensor, "batch pos d_model"],
        attention_mask: Tensor | None = None,
        position_ids: Int[Tensor, "row pos"] | None = None,
        pattern_fn: Any = None,
        **_: Any,
    ) -> tuple[Float[Tensor, "batch pos d_model"], Float[Tensor, "batch head dest src"]]:
        batch, length, _width = hidden_states.shape
        placed = hidden_states + self.positions[0].weight[position_ids]

        def by_head(flat: Tensor) -> Tensor:
            return flat.view(batch, length, self.n_heads, self.d_head).transpose(1, 2)

        query, key = by_head(self.q(placed)), by_head(self.k(placed))
        value = by_head(self.v(hidden_states))
        mask = self.causal_mask[:length, :length]
        if attention_mask is not None:
            mask = self._combine_attention_mask(mask, attention_mask, batch=batch)
        scores = query @ key.transpose(-2, -1) / self.scale
        pattern = scores.masked_fill(mask, -torch.inf).softmax(-1).masked_fill(mask, 0.0)
        if pattern_fn is not None:
            pattern = pattern_fn(pattern)  # fires hook_pattern before the values are summed
        z = (pattern @ value).transpose(1, 2).reshape(batch, length, -1)
        return self.o(z), pattern


class _ShortformerModel(NativeModel):
    """TransformerLens's native model without positions in the stream."""

    def __init__(self, config: TransformerBridgeConfig):
        super().__init__(config)
        assert self.pos is not None
        for block in self.layers:
            block.attn = _ShortformerAttention(config)
            block.attn.positions = (self.pos,)

    def forward(
        self,
        input_ids: Int[Tensor, "batch pos"] | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Int[Tensor, "batch pos"] | None = None,
        inputs_embeds: Float[Tensor, "batch pos d_model"] | None = None,
        **_: Any,
    ) -> Float[Tensor, "batch read d_vocab"]:
        stream = self.tok_embed(input_ids) if inputs_embeds is None else inputs_embeds
        if position_ids is None:
            position_ids = torch.arange(stream.shape[1], device=stream.device)
            position_ids = position_ids.expand(stream.shape[:2])
        for block in self.layers:
            (stream,) = block(stream, attention_mask=attention_mask, position_ids=position_ids)
        return self.head(self.ln_out(stream))
