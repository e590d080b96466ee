"""Loading a folder in Hugging Face's format: sized up before memory is asked for, then checked.

transformers reads nothing but links to the files that the fingerprint covers, runs no code of a
folder's, and reaches for no network. Any architecture is taken that TransformerLens has a bridge
for and that gives the same numbers there as in transformers (`analysis.models.check`).
"""

import copy
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoTokenizer,
    PreTrainedTokenizerBase,
)

from analysis.errors import AnalysisError, out_of_memory
from analysis.models.check import (
    largest_difference,
    reference,
    require_finite,
    trial_ids,
)
from analysis.models.encoders import (
    encode,
    encoder_difference,
    is_encoder,
    most_positions,
    without_head,
)
from analysis.models.files import VOCABULARIES, header, is_regular, weight_files
from analysis.models.info import BYTES_PER_PARAMETER, WEIGHTS, ModelInfo, machine_memory
from analysis.models.probe import Found, find_out, find_out_encoder
from analysis.models.sizes import context, window_of
from analysis.models.tokens import own_bos, separator, set_apart

_LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
_NEEDS_CODE = (
    "The {0} of {1} needs Python code that comes with it, and no code of a folder's is run here. "
    "Choose a model that transformers has by itself."
)
# Tokens on which is found out what a model is.
_PROBED = 8


@dataclass(frozen=True, eq=False)
class Loaded:
    """A bridge and its tokenizer, what it was found to be, and how far it is from transformers."""

    info: ModelInfo
    bridge: TransformerBridge
    tokenizer: PreTrainedTokenizerBase
    checked: float | None


def load_hugging_face(info: ModelInfo, folder: Path, device: str) -> Loaded:
    """The model whose files, or links to them, are all that `folder` holds.

    Raises:
        AnalysisError: Files that cannot be read or do not fit each other, more than this machine
            has memory for, an architecture that TransformerLens has no bridge for, or one that
            gives other numbers there.
    """
    tokenizer = read_tokenizer(info, folder)
    encoder = _require_weights_for(info, folder)
    inner, has_head = _weights(info, folder, encoder)
    inner = inner.to(device)
    if encoder:
        return take_in_encoder(info, inner, tokenizer, device, has_head)
    return take_in(info, inner, tokenizer, device)


def take_in(info: ModelInfo, inner: Any, tokenizer: PreTrainedTokenizerBase, device: str) -> Loaded:
    """A model of transformers with eager attention in a bridge, which takes its modules over.

    Raises:
        AnalysisError: As `load_hugging_face`, but of files.
    """
    info, ids, window = _ready(info, inner, tokenizer, device)
    with _sentence_if_it_fails("transformers", info):
        known = reference(inner, ids, info.name)
    bridge = _bridge(info, inner, tokenizer, device)
    with _sentence_if_it_fails("TransformerLens", info):
        checked = largest_difference(bridge, known, info.name)
    return look_at(info, bridge, tokenizer, ids, window, checked)


@contextmanager
def _sentence_if_it_fails(who: str, info: ModelInfo) -> Iterator[None]:
    """What an architecture that nobody has tried raises when it is run, as a sentence."""
    try:
        yield
    except AnalysisError:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        raise AnalysisError(
            f"{who} makes {info.name} a model that does not run ({said(error)}). Choose another "
            "model."
        ) from error


def _ready(
    info: ModelInfo, inner: Any, tokenizer: PreTrainedTokenizerBase, device: str
) -> tuple[ModelInfo, Int[Tensor, "batch pos"], int]:
    """What is to be asked of its weights and tokens first; a few tokens, and its window."""
    counted = sum(parameter.numel() for parameter in inner.parameters())
    require_finite(inner.named_parameters(), info.name)
    d_vocab = inner.get_input_embeddings().weight.shape[0]
    require_known_ids(info, tokenizer, d_vocab)
    window = window_of(inner.config.to_dict())
    ids = trial_ids(min(info.n_ctx, window or info.n_ctx), d_vocab, device)
    return replace(info, n_params=counted), ids, window


def look_at(
    info: ModelInfo,
    bridge: TransformerBridge,
    tokenizer: PreTrainedTokenizerBase,
    ids: Int[Tensor, "batch pos"],
    window: int,
    checked: float | None,
) -> Loaded:
    """A bridge with what it is found to be on a few tokens.

    Raises:
        AnalysisError: No head of it could be ablated.
    """
    with _sentence_if_it_fails("TransformerLens", info):
        found = find_out(bridge, ids[:1, :_PROBED])
    _require_z_edits(info, found)
    return Loaded(as_found(info, bridge, found, tokenizer, window), bridge, tokenizer, checked)


def take_in_encoder(
    info: ModelInfo,
    inner: Any,
    tokenizer: PreTrainedTokenizerBase,
    device: str,
    has_head: bool,
) -> Loaded:
    """An encoder, compared by patterns and its last layer or the logits of its head.

    Raises:
        AnalysisError: As `take_in`.
    """
    info, ids, _ = _ready(info, inner, tokenizer, device)
    most = most_positions(inner)
    ids = ids[:, :most]
    with _sentence_if_it_fails("transformers", info):
        known = encode(inner, ids, info.name, has_head)
    bridge = _bridge(info, inner, tokenizer, device)
    with _sentence_if_it_fails("TransformerLens", info):
        checked = encoder_difference(bridge, known, info.name)
        found = find_out_encoder(bridge, ids[:1, :_PROBED])
    _require_z_edits(info, found)
    info = replace(info, n_ctx=min(info.n_ctx, most), own_context=min(info.own_context, most))
    info = replace(
        as_found(info, bridge, found, tokenizer),
        bidirectional=True,
        has_mlm_head=has_head and tokenizer.mask_token_id is not None,
        # Its tokenizer frames a text by itself.
        has_bos=False,
        has_chat=False,
        start="",
    )
    return Loaded(info, bridge, tokenizer, checked)


def _require_z_edits(info: ModelInfo, found: Found) -> None:
    # A head is taken out by its z.
    if not found.z_edits:
        raise AnalysisError(
            f"What is put in the place of a head's z does not reach the stream of {info.name}, so "
            "no head could be ablated. Choose another model."
        )


def as_found(
    info: ModelInfo,
    bridge: TransformerBridge,
    found: Found,
    tokenizer: PreTrainedTokenizerBase,
    window: int = 0,
) -> ModelInfo:
    """What is said of a model, corrected by what it was found to be when it was loaded."""
    cfg: Any = bridge.cfg
    bos = own_bos(tokenizer, cfg.d_vocab)
    first = separator(tokenizer) if bos is None else bos
    n_ctx, shorter = context(info.n_ctx, window, None, cfg.n_heads, cfg.d_vocab)
    return replace(
        info,
        n_layers=cfg.n_layers,
        n_heads=cfg.n_heads,
        n_kv_heads=cfg.n_key_value_heads or cfg.n_heads,
        d_model=cfg.d_model,
        d_head=cfg.d_head,
        d_mlp=(cfg.d_mlp or 0) if found.has_mlp else 0,
        d_vocab=cfg.d_vocab,
        n_ctx=n_ctx,
        shorter=shorter if n_ctx < info.n_ctx else info.shorter,
        own_context=min(info.own_context, window or info.own_context),
        window=window,
        normalization=found.normalization,
        positions=found.positions,
        has_bos=bos is not None,
        unnamed_bos=bos is not None and bos != tokenizer.bos_token_id,
        has_chat=bool(tokenizer.chat_template),
        start="" if first is None else str(tokenizer.convert_ids_to_tokens(first)),
        traits=found.traits,
        scales=found.scales,
        turns=found.turns,
    )


def require_known_ids(info: ModelInfo, tokenizer: PreTrainedTokenizerBase, rows: int) -> None:
    """Refuse a tokenizer with more tokens than the model has rows, but for those added to it.

    Embeddings are often padded beyond the last token, and people add a [PAD] that the model never
    sees; any other token without a row could stand in a prompt.

    Raises:
        AnalysisError: There are such tokens.
    """
    known, apart = tokenizer.get_vocab(), set_apart(tokenizer)
    beyond = [id for id in known.values() if id >= rows and id not in apart]
    if beyond:
        raise AnalysisError(
            f"The tokenizer of {info.name} has {max(known.values()) + 1} tokens, but the model "
            f"has {rows} rows for them: {len(beyond)} tokens could not be run. Use the tokenizer "
            "that was saved with it."
        )


def read_tokenizer(info: ModelInfo, folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer in a folder; AnalysisError where transformers cannot read it."""
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, **_LOCAL)
    except Exception as error:  # the Rust parser raises bare Exception for any unreadable file
        if _wants_code(error):
            raise AnalysisError(_NEEDS_CODE.format("tokenizer", info.name)) from error
        if not any(is_regular(folder / name) for name in VOCABULARIES):
            raise AnalysisError(
                f"{info.name} has no tokenizer: none of {', '.join(VOCABULARIES)} is in its "
                "folder. Copy the tokenizer's files there."
            ) from error
        raise AnalysisError(
            f"transformers cannot read the tokenizer of {info.name} ({said(error)}). Copy its "
            "tokenizer files anew."
        ) from error
    return tokenizer


def _wants_code(error: Exception) -> bool:
    return "trust_remote_code" in str(error) or "custom code" in str(error)


def _require_weights_for(info: ModelInfo, folder: Path) -> bool:
    """Refuse a config.json that asks for more than the weights hold, before memory is taken.

    What the file of weights lacks would be filled at random; a folder of a few bytes could ask for
    any amount of memory. Returns whether it is an encoder's.
    """
    try:
        config = AutoConfig.from_pretrained(folder, **_LOCAL)
        encoder = is_encoder(config)
        with torch.device("meta"):
            empty: Any = _auto(encoder).from_config(config, trust_remote_code=False)
    except Exception as error:  # each of hundreds of architectures raises its own
        if out_of_memory(error):
            raise
        if _wants_code(error):
            raise AnalysisError(_NEEDS_CODE.format("model", info.name)) from error
        raise AnalysisError(
            f"transformers makes no model that predicts a token from the config.json of "
            f"{info.name} ({said(error)}). Choose another model."
        ) from error
    # Many an encoder is handed out without its head.
    needed_of = empty.base_model if encoder else empty
    described = sum(parameter.numel() for parameter in needed_of.parameters())
    shapes_by_name: dict[str, tuple[int, ...]] = {}
    for file in weight_files(info):
        shapes_by_name |= header(file)
    held = sum(map(math.prod, shapes_by_name.values()))
    if held < described and (what := _without_head(info, empty, shapes_by_name)):
        raise AnalysisError(what)
    if held < described:
        raise AnalysisError(
            f"The config.json of {info.name} describes {described:,} numbers; its weights hold "
            f"{held:,}. Copy both files anew from one place."
        )
    # Masks and tables that some architectures make as long as their context.
    tables = sum(4 * table.numel() for table in empty.buffers())
    needed = BYTES_PER_PARAMETER * described + tables
    if needed > machine_memory():
        raise AnalysisError(
            f"{info.name} needs about {needed / 2**30:.1f} GB of memory; this machine has "
            f"{machine_memory() / 2**30:.1f}. Choose a smaller model."
        )
    return encoder


def _without_head(info: ModelInfo, empty: Any, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """That weights lack the model's head and no more, as a sentence; empty where they do not."""
    head = empty.get_output_embeddings()
    if head is None or math.prod(head.weight.shape) == 0:
        return ""
    own = {id(parameter) for parameter in head.parameters()}
    prefix = f"{empty.base_model_prefix}."
    lacking = [
        parameter
        for name, parameter in empty.named_parameters()
        if name not in shapes and name.removeprefix(prefix) not in shapes
    ]
    if not lacking or any(id(parameter) not in own for parameter in lacking):
        return ""
    others = ("score.weight", "classifier.weight", "v_head.summary.weight")
    instead = next((name for name in others if name in shapes), "")
    held = f", but {instead} as a classifier or reward model has" if instead else ""
    return (
        f"The weights of {info.name} hold no head that predicts the next token{held}, so it has no "
        "logits and no loss. Choose the language model that it was made from."
    )


def _auto(encoder: bool) -> Any:
    return AutoModelForMaskedLM if encoder else AutoModelForCausalLM


def _weights(info: ModelInfo, folder: Path, encoder: bool) -> tuple[Any, bool]:
    """The model in evaluation mode, and whether its head is among the weights."""
    try:
        loaded: Any = _auto(encoder).from_pretrained(
            folder,
            dtype=torch.float32,
            use_safetensors=True,
            attn_implementation="eager",
            output_loading_info=True,
            **_LOCAL,
        )
    except Exception as error:  # not documented, and each architecture has its own
        if out_of_memory(error):
            raise
        raise AnalysisError(
            f"transformers cannot load the weights of {info.name} ({said(error)}). Copy "
            f"{WEIGHTS} and config.json anew from one place."
        ) from error
    inner, report = loaded
    missing = [*report["missing_keys"], *(key[0] for key in report.get("mismatched_keys", ()))]
    headless = encoder and without_head(inner, missing)
    if missing and not headless:
        # transformers would fill them at random, and every figure would be of that.
        raise AnalysisError(
            f"The weights of {info.name} lack {len(missing)} of the tensors that its config.json "
            "describes, or have them in another shape. Copy both anew from one place."
        )
    inner.config.architectures = [type(inner).__name__]  # TransformerLens goes by this name
    for tensor in (*inner.parameters(), *inner.buffers()):
        # Of our own: what is mapped from a file would change with it, or end with it.
        tensor.data = tensor.data.clone()
    return inner.eval(), not headless


def _bridge(
    info: ModelInfo, inner: Any, tokenizer: PreTrainedTokenizerBase, device: str
) -> TransformerBridge:
    try:
        return TransformerBridge.boot_transformers(
            info.name,
            hf_model=inner,
            tokenizer=copy.deepcopy(tokenizer),  # it adds a BOS where there is none
            device=device,
            dtype=torch.float32,
        ).eval()
    except Exception as error:  # each of its adapters has its own
        if out_of_memory(error):
            raise
        raise AnalysisError(
            f"TransformerLens has no bridge that takes in {info.name}, a {type(inner).__name__} "
            f"({said(error)}). Choose another model."
        ) from error


def said(error: Exception) -> str:
    """An error in a few harmless words, without paths."""
    line = next(iter(str(error).strip().splitlines()), "")
    line = re.sub(r"\S*[/\\]\S*", "…", line)
    line = "".join(sign if sign.isprintable() and sign not in "<>" else " " for sign in line)
    return f"{type(error).__name__}: {line[:120].strip()}" if line else type(error).__name__
