"""A model that is in memory already, offered in this process beside those in folders.

What is run is a twin: modules of its own, over the same weights. Hooks of an analysis therefore
never reach the model that was given, which its owner may be running in another thread.
"""

import copy
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from transformer_lens.model_bridge import TransformerBridge
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from analysis.errors import AnalysisError
from analysis.models.catalog import offer_in_memory, withdraw
from analysis.models.check import require_finite, trial_ids
from analysis.models.encoders import is_encoder, with_head
from analysis.models.files import mark_weights
from analysis.models.hugging_face import (
    Loaded,
    look_at,
    read_tokenizer,
    require_known_ids,
    take_in,
    take_in_encoder,
)
from analysis.models.info import IN_MEMORY, ModelInfo
from analysis.models.loading import HeadModel, in_memory
from analysis.models.sizes import Refused, hugging_face_sizes, window_of


@contextmanager
def offered(model: Any, tokenizer: Any, name: str) -> Iterator[HeadModel]:
    """A model of transformers or a bridge of TransformerLens, meanwhile listed under `name`.

    Weights are shared and read as they are at the time; results of changed ones are new results.

    Args:
        model: It predicts the next token or is an encoder such as BERT, with a head for masked
            tokens or without; has float32 weights, and is on one device.
        tokenizer: Its tokenizer; a bridge has one.
        name: What it is called in lists and links.

    Raises:
        AnalysisError: It is no such model, or would give other numbers here.
    """
    inner, tokenizer = _given(model, tokenizer)
    with tempfile.TemporaryDirectory(prefix="headscope-") as aside:
        folder = Path(aside) / (name if name.isidentifier() else "model")
        info = _info(inner, tokenizer, folder, name)
        # Of its own, too: TransformerLens reads it again from where it was read from.
        loaded = _twin(model, inner, read_tokenizer(info, folder), info)
        # Shares its counter of changes with the weights, and does not keep the model.
        weights = [tensor.detach() for tensor in (*inner.parameters(), *inner.buffers())]
        own = uuid4().hex

        def mark() -> str:
            return f"{own}-{sum(tensor._version for tensor in weights)}"

        offer_in_memory(loaded.info)
        mark_weights(folder, mark)
        held = HeadModel(
            loaded.info, loaded.bridge, loaded.tokenizer, mark(), checked=loaded.checked
        )
        in_memory[name] = held
        try:
            yield held
        finally:
            del in_memory[name]
            withdraw(name)
            mark_weights(folder, None)


def _given(model: Any, tokenizer: Any) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model of transformers that was given, or that a bridge is made of, and a tokenizer."""
    inner = model
    if isinstance(model, TransformerBridge):
        inner = model.original_model
        tokenizer = tokenizer or model.tokenizer
        if getattr(model, "compatibility_mode", False):
            raise AnalysisError(
                "The weights of this bridge were rewritten by enable_compatibility_mode, and its "
                "heads would have other numbers than its model's. Give one made by "
                "boot_transformers alone."
            )
    if not isinstance(inner, PreTrainedModel):
        raise AnalysisError(
            "Expected is a model that predicts the next token, or an encoder: one of transformers, "
            "with its tokenizer, or a TransformerBridge made by boot_transformers."
        )
    if inner is not model and is_encoder(inner.config):
        raise AnalysisError(
            "This is the bridge of an encoder, which is taken from transformers alone. Load the "
            "model with AutoModelForMaskedLM or AutoModel, and give that with its tokenizer."
        )
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise AnalysisError("Give the model's tokenizer too, as the second argument.")
    tensors = list(inner.parameters())
    devices = {tensor.device for tensor in tensors}
    if len(devices) != 1 or next(iter(devices)).type not in ("cpu", "cuda"):
        raise AnalysisError("The model's weights are on one device, the CPU or a CUDA device.")
    if others := {tensor.dtype for tensor in tensors} - {torch.float32}:
        raise AnalysisError(
            f"The model has weights of the type {str(others.pop()).removeprefix('torch.')}, and "
            "heads are analysed in float32. Give model.float()."
        )
    return inner, tokenizer


def _info(
    inner: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, name: str
) -> ModelInfo:
    """What its config says; that and the tokenizer lie in a folder for those who ask there."""
    try:
        sizes = hugging_face_sizes(inner.config.to_dict(), name, None)
    except Refused as refusal:
        raise AnalysisError(str(refusal)) from refusal
    inner.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return ModelInfo(
        name=name,
        title=f"{type(inner).__name__}, in memory",
        folder=folder,
        available=True,
        n_params=0,  # counted with the others when it is taken in
        normalization=sizes.pop("normalization"),
        family=IN_MEMORY,
        licence="not known",
        **sizes,
    )


def _twin(
    model: Any, inner: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, info: ModelInfo
) -> Loaded:
    """The model again with modules of its own, which share its weights, in a bridge."""
    shared: dict[int, Any] = {
        id(weight): torch.nn.Parameter(weight.detach(), requires_grad=False)
        for weight in inner.parameters()
    }
    shared |= {id(buffer): buffer for buffer in inner.buffers()}
    twin = copy.deepcopy(model, shared).eval()
    device = str(inner.device)
    if not isinstance(twin, TransformerBridge):
        twin.set_attn_implementation("eager")
        if is_encoder(twin.config):
            twin, has_head = with_head(twin)
            twin.config.architectures = [type(twin).__name__]
            return take_in_encoder(info, twin, tokenizer, device, has_head)
        twin.config.architectures = [type(inner).__name__]
        return take_in(info, twin, tokenizer, device)
    require_finite(inner.named_parameters(), info.name)
    d_vocab = twin.cfg.d_vocab
    require_known_ids(info, tokenizer, d_vocab)
    window = window_of(inner.config.to_dict())
    ids = trial_ids(min(info.n_ctx, window or info.n_ctx), d_vocab, device)
    counted = replace(info, n_params=sum(each.numel() for each in inner.parameters()))
    return look_at(counted, twin, tokenizer, ids, window, None)
