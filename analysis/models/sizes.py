"""The sizes that a config.json gives, whatever its architecture calls them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, get_args

from analysis.limits import MAX_BYTES
from analysis.models.info import ENCODER, Positions, Traits

# Of what a config.json may say: links count layers and heads in three digits.
MOST_HEADS = 1000
MOST_WIDTH = 10_000_000
# Logits of one text, whole; see `context`.
MAX_LOGITS = 512 * 2**20
# Tokens of models whose positions have no end.
UNBOUNDED = 2048

# What architectures call a size, the most usual first; those with None may be left out.
_LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_HEADS = ("num_attention_heads", "n_head", "num_heads", "n_heads", "attention_heads")
_WIDTH = ("hidden_size", "n_embd", "d_model")
_HEAD_WIDTH = ("head_dim", "d_kv")
_SHARED = ("num_key_value_heads", "num_kv_heads")
_NEURONS = ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "d_ff")
_CONTEXT = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
_WINDOWS = ("sliding_window", "window_size", "attention_window", "attention_chunk_size")
# Of modules that are made one by one: a huge number of them would never be done.
_COUNTED = ("layer", "head", "expert", "block", "group")
_LAYER_NORMS = (
    *("gpt2", "gpt_neo", "gptj", "gpt_neox", "gpt_bigcode", "opt", "bloom", "falcon", "phi"),
    *("stablelm", "starcoder2", "codegen", "mpt", "xglm", "openai-gpt", "olmo", "cohere"),
    *("cohere2", "nemotron"),
    *("bert", "roberta"),
)
# What the models of an architecture are usually found to be.
_POST_NORM = Traits(heads_write=False, post_norm=True, plain_logits=False, foldable_norms=False)
_USUAL = {
    "gemma2": replace(_POST_NORM, scores="capped", plain_embedding=False),
    "gemma3_text": replace(_POST_NORM, scores="normed", plain_embedding=False),
    "olmo2": replace(_POST_NORM, scores="normed", plain_reads=False, plain_logits=True),
    "qwen3": Traits(scores="normed"),
    "bert": ENCODER,
    "roberta": ENCODER,
}
_ALIBI = ("bloom", "mpt")
_LEARNED = ("gpt2", "gpt_neo", "gpt_bigcode", "opt", "openai-gpt", "bert", "roberta")
# Of these the loaded model is asked too: what a folder says of itself before.
_ENCODERS = ("bert", "roberta")
# Encoders that TransformerLens has no bridge for, some of which call their sizes by other names.
_OTHER_ENCODERS = (
    "albert",
    "deberta",
    "deberta-v2",
    "distilbert",
    "electra",
    "modernbert",
    "mpnet",
    "xlm-roberta",
)
# Encoders with decoders, whose config.json leaves that out where transformers has written it.
_TWO_PARTS = ("longt5", "mt5", "switch_transformers", "t5", "umt5")


class Refused(ValueError):
    """What a folder says that cannot be used; the message is a sentence for its owner."""


def native_sizes(config: Mapping[str, Any], name: str, longest: int | None) -> dict[str, Any]:
    """The sizes of a folder in our own format.

    Raises:
        Refused: One is missing, is no size, or a choice that is not known.
    """
    if "n_layers" not in config and any(key in config for key in ("architectures", *_WIDTH)):
        raise Refused(
            f"The config.json of {name} names no model_type, so nobody knows what it is a model "
            "of. Copy the file anew, or add the name of its architecture there."
        )
    numbers = ("n_layers", "n_heads", "d_model", "d_head", "d_mlp", "n_ctx", "d_vocab")
    sizes = {key: _size(config, name, key, (key,), key == "d_mlp") for key in numbers}
    choices = {
        "normalization": (None, "LN"),
        "positions": get_args(Positions)[:3],
        "act_fn": ("relu", "gelu", "gelu_new", "silu", "solu_ln"),
    }
    options = {"normalization": config.get("normalization")}
    options |= {key: config[key] for key in ("positions", "act_fn") if key in config}
    for key, value in options.items():
        if value not in choices[key]:
            known = ", ".join(map(str, choices[key]))
            raise Refused(
                f"The config.json of {name} gives {_shown(value)} for {key}; known are {known}. "
                "Correct it there."
            )
    per_layer = 4 * sizes["n_heads"] * sizes["d_head"] + 2 * sizes["d_mlp"]
    rows = 2 * sizes["d_vocab"] + sizes["n_ctx"] + sizes["n_layers"] * per_layer
    own = sizes["n_ctx"]
    if longest is not None and longest < own:
        sizes |= {"n_ctx": longest, "n_positions": own}
        options["shorter"] = f"It takes {own:,} tokens; the list of models allows {longest:,}."
    matrices, claimed = rows * sizes["d_model"], config.get("n_params")
    # With biases and norms it may be a few more; what a file claims decides about memory.
    fits = type(claimed) is int and matrices <= claimed <= 2 * matrices
    return {"kind": "native", "n_params": claimed if fits else matrices, **options, **sizes}


def hugging_face_sizes(config: Mapping[str, Any], name: str, longest: int | None) -> dict[str, Any]:
    """The sizes of a folder in Hugging Face's format, as far as its config.json gives them.

    Raises:
        Refused: One is missing or no size, the weights are quantised, or it is no plain model of
            text.
    """
    _require_few(config, name)
    config = _with_defaults(config)
    _require_plain(config, name)
    heads = _size(config, name, "number of heads", _HEADS)
    width = _size(config, name, "width", _WIDTH)
    given = config.get("multi_query") is True and not config.get("new_decoder_architecture")
    head_width = _size(config, name, "width of a head", _HEAD_WIDTH, True) or width // heads
    own = _size(config, name, "context", _CONTEXT, True) or UNBOUNDED
    vocabulary = _size(config, name, "size of the vocabulary", ("vocab_size",))
    if not head_width:
        raise Refused(
            f"The config.json of {name} gives a width of {width} for {heads} heads, less than 1 "
            "for each. Choose another model."
        )
    window = window_of(config)
    n_ctx, shorter = context(own, window, longest, heads, vocabulary)
    kind = str(config["model_type"])
    return {
        "kind": kind,
        "n_layers": _size(config, name, "number of layers", _LAYERS),
        "n_heads": heads,
        "n_kv_heads": 1 if given else _size(config, name, "number of keys", _SHARED, True) or heads,
        "d_model": width,
        "d_head": head_width,
        "d_mlp": _size(config, name, "number of neurons", _NEURONS, True) or 4 * width,
        "d_vocab": vocabulary,
        "n_ctx": n_ctx,
        "shorter": shorter,
        "own_context": min(own, window or own, own if longest is None else longest),
        "window": window,
        # Of these the loaded model is asked; what its card says before is the usual.
        "normalization": "LN" if kind in _LAYER_NORMS else "RMS",
        "positions": _positions(config, kind),
        "traits": _USUAL.get(kind, Traits()),
        "bidirectional": kind in _ENCODERS and config.get("is_decoder") is not True,
    }


def _positions(config: Mapping[str, Any], kind: str) -> Positions:
    if kind in _LEARNED:
        return "learned"
    return "alibi" if kind in _ALIBI or config.get("alibi") is True else "rotary"


def window_of(config: Mapping[str, Any]) -> int:
    """The fewest tokens that a layer sees back, by a config.json; 0: every layer sees all."""
    layers = config.get("layer_types") or config.get("attention_layers")
    layers = layers or config.get("attention_types")
    local = not layers or any(word in str(layers) for word in ("sliding", "local", "chunk"))
    if config.get("use_sliding_window") is False or not local:
        return 0
    # MPT and others have the name with another meaning, as an object or -1.
    given = [config.get(key) for key in _WINDOWS]
    return min((size for size in given if type(size) is int and size > 0), default=0)


def context(
    own: int, window: int, longest: int | None, n_heads: int, d_vocab: int
) -> tuple[int, str]:
    """How many tokens a model is run on at most, and why these are fewer than it takes, or nothing.

    Within a sliding window every layer sees all, so what is defined by chance stays so. The
    attention of one layer and the logits of one text are held whole.
    """
    patterns = int((MAX_BYTES / (4 * n_heads)) ** 0.5)
    fits = min(patterns, MAX_LOGITS // (4 * d_vocab))
    most = f"some layers see only the last {window:,}, beyond which chance levels would be others"
    bounds = [
        (own, ""),
        (window or own, most),
        (own if longest is None else longest, f"the list of models allows {longest}"),
        (fits, f"of {fits:,} the attention of a layer and the logits fit into memory"),
    ]
    tokens, reason = min(bounds, key=lambda bound: bound[0])
    return max(tokens, 1), f"It takes {own:,} tokens; {reason}." if reason else ""


def _with_defaults(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A config.json with what its architecture has where the file says nothing, as is usual.

    Only then is transformers asked, which takes seconds to import.
    """
    needed = (_LAYERS, _HEADS, _WIDTH, ("vocab_size",))
    whole = all(any(config.get(key) is not None for key in keys) for keys in needed)
    if whole or "text_config" in config or "quantization_config" in config:
        return config
    from transformers import CONFIG_MAPPING

    try:
        # A copy: transformers writes into what it is given.
        usual = CONFIG_MAPPING[config["model_type"]].from_dict(dict(config)).to_dict()
    except Exception:  # each of hundreds of architectures raises its own; the file says too little
        return config
    return {**usual, **{key: value for key, value in config.items() if value is not None}}


def _require_few(config: Mapping[str, Any], name: str) -> None:
    for key, value in _counts(config):
        if value > MOST_HEADS:
            raise Refused(
                f"The config.json of {name} gives {_shown(value)} for {_word(key)}; "
                f"{MOST_HEADS:,} at most are taken. Choose another model."
            )


def _require_plain(config: Mapping[str, Any], name: str) -> None:
    if given := config.get("quantization_config"):
        method = given.get("quant_method") if isinstance(given, Mapping) else None
        raise Refused(
            f"The weights of {name} are quantised (quantization_config in its config.json, "
            f"{_word(method)}); plain numbers are needed. Save the model dequantised, or choose "
            "the one that it was made from."
        )
    if isinstance(given := config.get("quantization"), Mapping) and "bits" in given:
        raise Refused(
            f"The weights of {name} are quantised (quantization in its config.json, as MLX has "
            "it); plain numbers are needed. Choose the model that it was made from."
        )
    kind = config.get("model_type")
    if config.get("is_encoder_decoder") is True or kind in _TWO_PARTS:
        said = "is_encoder_decoder" if "is_encoder_decoder" in config else f"model_type {kind}"
        raise Refused(
            f"{name} is an encoder and a decoder ({said} in its config.json); what is run here "
            "predicts the next token of one text. Choose another model, or show its heads in a "
            "notebook with headscope.show."
        )
    if kind in _OTHER_ENCODERS:
        raise Refused(
            f"{name} is an encoder of the kind {kind} (model_type in its config.json); of encoders "
            "BERT and RoBERTa are run here. Choose another model, or show its heads in a notebook "
            "with headscope.show."
        )
    if isinstance(config.get("text_config"), Mapping) or not config.get("vocab_size"):
        part = "text_config" if "text_config" in config else "no vocab_size"
        raise Refused(
            f"The config.json of {name} has {part}, so it is no plain model of text; only those "
            "are run. Choose another model."
        )


def _counts(config: Mapping[str, Any]) -> Iterator[tuple[str, int | float]]:
    for key, value in config.items():
        counted = key.startswith(("n_", "num_")) and any(word in key for word in _COUNTED)
        if counted and type(value) in (int, float):
            yield key, value


def _size(
    config: Mapping[str, Any], name: str, what: str, keys: tuple[str, ...], optional: bool = False
) -> int:
    """The first of these keys that is given, if a model can have that many; 0: none is given."""
    key = next((key for key in keys if config.get(key) is not None), None)
    if key is None:
        if optional:
            return 0
        raise Refused(
            f"The config.json of {name} gives no {what} ({', '.join(keys)}). Copy the file anew."
        )
    value = config[key]
    most = MOST_HEADS if keys in (_LAYERS, _HEADS, _SHARED) or "layer" in key else MOST_WIDTH
    most = MOST_HEADS if key.endswith("heads") else most
    if type(value) is not int or not (0 if optional else 1) <= value <= most:
        raise Refused(
            f"The config.json of {name} gives {_shown(value)} for {key}; a whole number from 1 to "
            f"{most:,} is needed. Copy the file anew."
        )
    return value


def _shown(value: Any) -> str:
    """A value from a file that anybody may have written, in a few harmless characters."""
    if type(value) is int:
        digits = len(str(abs(value)))
        return f"{value:,}" if digits < 15 else f"a number of {digits} digits"
    if isinstance(value, bool | float):
        return f"{value}"
    if isinstance(value, str):
        return f"the text {_word(value)}"
    return "nothing" if value is None else f"a {type(value).__name__}"


def _word(text: Any) -> str:
    """A name from such a file, where it is one."""
    named = isinstance(text, str) and text.replace("_", "").replace("-", "").isalnum()
    return str(text)[:40] if named else "…"
