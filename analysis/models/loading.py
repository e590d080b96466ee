"""Loading a model: weights from safetensors into a TransformerLens bridge, with its lock."""

import math
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from analysis.errors import AnalysisError, out_of_memory
from analysis.kept import kept_property
from analysis.models.attention import attention_scale
from analysis.models.catalog import find_folder, find_model, learn, refresh
from analysis.models.check import require_finite
from analysis.models.files import (
    fingerprint,
    only_files_read,
    require_whole,
    stamp,
    weight_files,
)
from analysis.models.info import WEIGHTS, ModelInfo
from analysis.models.tokens import END as BOS
from analysis.models.tokens import named_bos, own_bos, separator, set_apart

# Before the first import of a client of the hub, which reads it once: loading never reaches out.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from transformer_lens.config import TransformerBridgeConfig  # noqa: E402
from transformer_lens.model_bridge import TransformerBridge  # noqa: E402
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast  # noqa: E402

from analysis.models.hugging_face import (  # noqa: E402
    Loaded,
    load_hugging_face,
    require_known_ids,
    said,
)
from analysis.models.shortformer import shortformer_bridge  # noqa: E402

# Models that are in no file, by name: see `analysis.models.in_memory`.
in_memory: "dict[str, HeadModel]" = {}


@dataclass(frozen=True, eq=False)
class HeadModel:
    """A loaded model and the lock that guards it.

    Hooks sit on the shared modules: while one thread ablates a head, any other forward pass
    silently gives wrong numbers. Hold `lock` around every forward pass, and only around that;
    `analysis.runs.forward` and `analysis.runs.suffix` do both.
    """

    info: ModelInfo
    bridge: TransformerBridge
    tokenizer: PreTrainedTokenizerBase
    fingerprint: str  # of the files that were read; part of every cache key
    lock: threading.Lock = field(default_factory=threading.Lock)
    # The largest difference from transformers on a few tokens, as `analysis.models.check` has it;
    # None for a model in our own format, which nothing else runs.
    checked: float | None = None

    @property
    def name(self) -> str:
        """Name on the allow-list."""
        return self.info.name

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        return self.info.n_layers

    @property
    def n_heads(self) -> int:
        """Attention (query) heads per layer."""
        return self.info.n_heads

    @property
    def d_head(self) -> int:
        """Width of a head's query, key and value vectors."""
        return self.info.d_head

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return self.info.d_model

    @property
    def n_ctx(self) -> int:
        """Most tokens the model takes at once."""
        return self.info.n_ctx

    @property
    def d_vocab(self) -> int:
        """Number of token ids."""
        return self.info.d_vocab

    @property
    def nbytes(self) -> int:
        """Bytes of weights and buffers, tied ones counted once."""
        tensors = (*self.bridge.parameters(), *self.bridge.buffers())
        storages = {s.data_ptr(): s.nbytes() for s in (t.untyped_storage() for t in tensors)}
        return sum(storages.values())

    def attention_scale(self, layer: int) -> float:
        """What a layer's q . k is multiplied by before softmax, in this model; no unit.

        Raises:
            AnalysisError: The layer's module keeps no such number.
        """
        measured = self.info.scales
        if measured and not math.isnan(measured[layer]):
            return measured[layer]
        return attention_scale(self.bridge, layer)

    @kept_property
    def bos_id(self) -> int:
        """Token id put in front of every input.

        Where the model has no BOS token the end-of-text token that stood between documents in
        training takes that place in repeated tokens (`info.start`); prompts go without
        (`info.has_bos`).

        Raises:
            AnalysisError: The tokenizer has neither.
        """
        bos = own_bos(self.tokenizer, self.d_vocab)
        first = separator(self.tokenizer) if bos is None else bos
        if first is None or first >= self.d_vocab:
            raise AnalysisError(
                f"A token to begin with was asked for, and the tokenizer of {self.name} names "
                "neither a BOS nor an EOS token. Switch BOS off, or name one in its "
                "tokenizer_config.json."
            )
        return first

    @kept_property
    def ordinary_ids(self) -> tuple[int, ...]:
        """Ids of the tokens that stand for text: neither special nor added, each with a row."""
        apart = set_apart(self.tokenizer)
        known = sorted(self.tokenizer.get_vocab().values())
        return tuple(i for i in known if i not in apart and i < self.d_vocab)

    @property
    def is_current(self) -> bool:
        """Whether the files that it was read from are still the ones in its folder."""
        return fingerprint(self.info) == self.fingerprint


def load_model(name_or_path: str | Path, device: str = "auto") -> HeadModel:
    """Load an allowed model, ready for analysis: evaluation mode, float32, no gradients.

    A model in Hugging Face's format is run on about twenty tokens by transformers too
    (`HeadModel.checked`). What its files only suggested, such as whether it has a BOS token, is
    corrected by what it was found to be, here and in `list_models`.

    Args:
        name_or_path: A name from `list_models()`, the path of that model's folder, or the name of
            a checkpoint such as `attn-only-2l@1221`.
        device: "cpu", "cuda", or "auto" for CUDA where there is one. MPS is refused: it returns
            wrong numbers without an error (TransformerLens issue 1178).

    Raises:
        AnalysisError: Unknown name, unsuitable device, files that cannot be read, do not fit each
            other or change meanwhile, or an architecture that cannot be run right.
    """
    refresh()  # files may have come, gone or changed since they were listed
    info = _named(name_or_path)
    if info.name in in_memory:
        return in_memory[info.name]
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise AnalysisError(f"Device {device!r} is not supported. Use 'cpu' or 'cuda'.")
    if device == "cuda" and not torch.cuda.is_available():
        raise AnalysisError("This machine has no CUDA device. Use 'cpu'.")
    before, mark = stamp(info), fingerprint(info)
    for file in weight_files(info):
        require_whole(file, info.name)
    with only_files_read(info) as folder:
        load = _load_native if info.kind == "native" else load_hugging_face
        loaded = load(info, folder, device)
    freeze_weights(loaded.bridge)
    if stamp(info) != before:
        raise AnalysisError(
            f"The files of {info.name} were changed while they were read. Load it again."
        )
    learn(loaded.info)
    return HeadModel(
        loaded.info,
        loaded.bridge,
        loaded.tokenizer,
        fingerprint=mark,
        checked=loaded.checked,
    )


def _named(name_or_path: str | Path) -> ModelInfo:
    path = Path(name_or_path)
    if isinstance(name_or_path, Path) or path.name != name_or_path:
        return find_folder(path)
    return find_model(name_or_path)


def _load_native(info: ModelInfo, folder: Path, device: str) -> Loaded:
    tokenizer = load_tokenizer(folder / "tokenizer.json", named_bos(folder, "native") or BOS)
    require_known_ids(info, tokenizer, info.d_vocab)
    bridge = native_bridge(info, tokenizer, device)
    load_weights(bridge, folder / WEIGHTS)
    require_finite(bridge.state_dict().items(), info.name)
    return Loaded(info, bridge, tokenizer, None)


def load_tokenizer(file: Path, bos: str = BOS) -> PreTrainedTokenizerFast:
    """The byte-level tokenizer in `file`, with `bos` for its BOS, EOS and padding."""
    try:
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(file))
    except Exception as error:  # the Rust parser raises bare Exception for any unreadable file
        raise AnalysisError(
            f"The tokenizer {file.name} cannot be read ({said(error)}). Copy it anew."
        ) from error
    tokenizer.add_special_tokens({"bos_token": bos, "eos_token": bos, "pad_token": bos})
    # TransformerLens reloads a tokenizer that has a BOS from the name it remembers. An empty name
    # and an explicit flag keep it from looking one up on a hub.
    tokenizer.init_kwargs.update(name_or_path="", add_bos_token=True)
    return tokenizer


def native_bridge(
    info: ModelInfo, tokenizer: PreTrainedTokenizerFast | None, device: str
) -> TransformerBridge:
    """A native bridge of the right sizes with random weights, in evaluation mode."""
    config: dict[str, Any] = {
        "n_layers": info.n_layers,
        "n_heads": info.n_heads,
        "d_model": info.d_model,
        "d_head": info.d_head,
        "n_ctx": info.n_positions or info.n_ctx,
        "d_vocab": info.d_vocab,
        "attn_only": not info.has_mlp,
        "normalization_type": info.normalization,
        "positional_embedding_type": "standard",
        "act_fn": info.act_fn,
        "seed": 0,
    }
    if info.has_mlp:
        config["d_mlp"] = info.d_mlp
    sizes = TransformerBridgeConfig(**config)
    if info.positions == "shortformer":
        bridge = shortformer_bridge(sizes, tokenizer, device)
    else:
        # Attached to the class at import, where a type checker cannot see it.
        bridge = TransformerBridge.boot_native(  # type: ignore[attr-defined]
            sizes, tokenizer=tokenizer, device=device, model_name=info.name
        ).eval()  # boot_native returns training mode
    freeze_weights(bridge)
    return bridge


def freeze_weights(bridge: TransformerBridge) -> None:
    """No gradients for weights; one by one, since the bridge does not wrap `requires_grad_`."""
    for parameter in bridge.parameters():
        parameter.requires_grad_(False)


def load_weights(bridge: TransformerBridge, file: Path) -> None:
    """Fill `bridge` from a safetensors file; AnalysisError unless every name and shape matches."""
    try:
        weights = load_file(file)
    except (OSError, SafetensorError) as error:
        raise AnalysisError(
            f"The weights {file.name} cannot be read ({said(error)}). Copy the file anew."
        ) from error
    try:
        bridge.load_state_dict(weights, strict=True)
    except RuntimeError as error:  # one line for each tensor, in TransformerLens's inner names
        if out_of_memory(error):
            raise
        raise AnalysisError(
            f"The tensors in {file.name} do not fit its config.json, which describes other names "
            "or shapes. Copy both anew from one place."
        ) from error
