"""Loading a model: weights from safetensors into a TransformerLens bridge, with its lock."""

import json
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from analysis.errors import AnalysisError
from analysis.models.attention import attention_scale
from analysis.models.catalog import find_model, fingerprint
from analysis.models.info import ModelInfo

# Before the first import of a client of the hub, which reads it once: loading never reaches out.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from transformer_lens.config import TransformerBridgeConfig  # noqa: E402
from transformer_lens.model_bridge import TransformerBridge  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from analysis.models.shortformer import shortformer_bridge

BOS = "<|endoftext|>"
_FILE = "model.safetensors"


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
    fingerprint: str  # of weights and tokenizer; part of every cache key
    lock: threading.Lock = field(default_factory=threading.Lock)

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
        return attention_scale(self.bridge, layer)

    @property
    def bos_id(self) -> int:
        """Token id put in front of every input.

        Where the model has no BOS token its end-of-text token, which stood between documents in
        training, takes that place in repeated tokens; prompts go without (`info.has_bos`).
        """
        first = self.tokenizer.bos_token_id
        first = self.tokenizer.eos_token_id if first is None else first
        assert isinstance(first, int)
        return first


def load_model(name_or_path: str | Path, device: str = "auto") -> HeadModel:
    """Load an allowed model, ready for analysis: evaluation mode, float32, no gradients.

    Args:
        name_or_path: A name from `list_models()`, the path of that model's folder, or the name of
            a checkpoint such as `attn-only-2l@1221`.
        device: "cpu", "cuda", or "auto" for CUDA where there is one. MPS is refused: it returns
            wrong numbers without an error (TransformerLens issue 1178).

    Raises:
        AnalysisError: Unknown name, unsuitable device, or files that are missing or damaged.
    """
    info = find_model(Path(name_or_path).name)
    if name_or_path != info.name and not _same_file(Path(name_or_path), info.folder):
        raise AnalysisError(f"Only the models in {info.folder.parent.name}/ can be loaded.")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise AnalysisError(f"Device {device!r} is not supported. Use 'cpu' or 'cuda'.")
    if device == "cuda" and not torch.cuda.is_available():
        raise AnalysisError("This machine has no CUDA device. Use 'cpu'.")
    load = _load_native if info.kind == "native" else _load_hugging_face
    bridge, tokenizer = load(info, device)
    if tokenizer.bos_token_id is None and tokenizer.eos_token_id is None:
        raise AnalysisError(f"The tokenizer of {info.name} has neither a BOS nor an EOS token.")
    freeze_weights(bridge)
    return HeadModel(info, bridge, tokenizer, fingerprint=fingerprint(info))


def _load_native(info: ModelInfo, device: str) -> tuple[TransformerBridge, PreTrainedTokenizerBase]:
    tokenizer = load_tokenizer(info.folder / "tokenizer.json", _named_bos(info.folder))
    _require_known_ids(info, len(tokenizer))
    bridge = native_bridge(info, tokenizer, device)
    load_weights(bridge, info.weights)
    return bridge, tokenizer


def _load_hugging_face(
    info: ModelInfo, device: str
) -> tuple[TransformerBridge, PreTrainedTokenizerBase]:
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(info.folder, **local)
    except Exception as error:  # the Rust parser raises bare Exception for any unreadable file
        raise AnalysisError(f"The tokenizer of {info.name} is missing or damaged.") from error
    # Embeddings are often padded beyond the last token; the other way round ids would be missing.
    _require_known_ids(info, len(tokenizer))
    try:
        with _weights_folder(info) as folder:
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=True,
                attn_implementation="eager",
                output_loading_info=True,
                **local,
            )
    # What it raises for files that are cut off or of other sizes is not documented.
    except (OSError, SafetensorError, ValueError, RuntimeError, KeyError) as error:
        raise AnalysisError(
            f"The weights of {info.name} are missing or damaged, or do not fit its config.json. "
            "Copy the model anew."
        ) from error
    inner, report = loaded
    if report["missing_keys"] or report.get("mismatched_keys"):
        # transformers would fill them at random, and every figure would be of that.
        count = len(report["missing_keys"]) + len(report.get("mismatched_keys", ()))
        raise AnalysisError(
            f"The weights of {info.name} lack {count} of its tensors. Copy the model anew."
        )
    inner.config.architectures = [type(inner).__name__]  # TransformerLens goes by this name
    bridge = TransformerBridge.boot_transformers(
        str(info.folder), hf_model=inner, tokenizer=tokenizer, device=device, dtype=torch.float32
    ).eval()
    return bridge, tokenizer


@contextmanager
def _weights_folder(info: ModelInfo) -> Iterator[Path]:
    """A folder with the config and the weights under the names that transformers knows."""
    if info.step is None:
        yield info.folder
        return
    with tempfile.TemporaryDirectory() as aside:
        for name, file in (("config.json", info.folder / "config.json"), (_FILE, info.weights)):
            (Path(aside) / name).symlink_to(file.resolve())
        yield Path(aside)


def _require_known_ids(info: ModelInfo, n_tokens: int) -> None:
    if n_tokens > info.d_vocab:
        raise AnalysisError(
            f"tokenizer.json has {n_tokens} tokens, but {info.name} takes {info.d_vocab}. "
            "It belongs to another model."
        )


def _same_file(path: Path, folder: Path) -> bool:
    try:
        return path.resolve() == folder.resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, NUL or a lone surrogate
        return False


def _named_bos(folder: Path) -> str:
    """The BOS that a tokenizer_config.json names; some tokenizers have no end-of-text token."""
    try:
        named = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        bos = named["bos_token"]
        return str(bos["content"] if isinstance(bos, dict) else bos or BOS)
    except (OSError, ValueError, KeyError, TypeError):
        return BOS


def load_tokenizer(file: Path, bos: str = BOS) -> PreTrainedTokenizerFast:
    """The byte-level tokenizer in `file`, with `bos` for its BOS, EOS and padding."""
    try:
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(file))
    except Exception as error:  # the Rust parser raises bare Exception for any unreadable file
        raise AnalysisError(f"The tokenizer {file.name} is missing or damaged.") from error
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
        raise AnalysisError(f"The weights {file.name} are missing or damaged.") from error
    try:
        bridge.load_state_dict(weights, strict=True)
    except RuntimeError as error:  # one line for each tensor, in TransformerLens's inner names
        raise AnalysisError(
            f"The weights {file.name} do not fit the sizes in config.json. "
            "The two files belong to different models."
        ) from error
