"""Which token stands in front of a text: guessed from a folder's files, and asked of the tokenizer.

Who asks before a model is loaded gets what its files say together; a loaded model has been asked.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analysis.models.files import read_object

END = "<|endoftext|>"
# What stood between documents in training, where a model has no BOS token.
SEPARATORS = (END, "<|end_of_text|>")
# BOS tokens that the classes of transformers have of themselves, where no file names one.
_OF_CLASS = {
    "GPT2Tokenizer": END,
    "CodeGenTokenizer": END,
    "GPTNeoXTokenizer": END,
    "LlamaTokenizer": "<s>",
    "CodeLlamaTokenizer": "<s>",
    "XGLMTokenizer": "<s>",
    "GemmaTokenizer": "<bos>",
    "CohereTokenizer": "<BOS_TOKEN>",
}
# The class that it takes for an architecture, where no file names one either.
_CLASS_OF = {
    **dict.fromkeys(
        ("gpt2", "gpt_neo", "gptj", "opt", "phi", "codegen", "starcoder2"), "GPT2Tokenizer"
    ),
    **dict.fromkeys(("gpt_neox", "mpt", "olmo", "olmoe"), "GPTNeoXTokenizer"),
    **dict.fromkeys(("gemma", "gemma2", "gemma3", "gemma3_text"), "GemmaTokenizer"),
    **dict.fromkeys(("cohere", "cohere2"), "CohereTokenizer"),
    "xglm": "XGLMTokenizer",
}


def named_bos(folder: Path, kind: str) -> str:
    """The text of the BOS token that a folder's tokenizer will have; empty: none.

    tokenizer_config.json goes before special_tokens_map.json, and both before what the class of
    the tokenizer has of itself. A name that is null says that there is none.
    """
    config = read_object(folder / "tokenizer_config.json")
    for named in (config, read_object(folder / "special_tokens_map.json")):
        if "bos_token" in named:
            return _text_of(named["bos_token"])
    of = str(config.get("tokenizer_class") or _CLASS_OF.get(kind, "")).removesuffix("Fast")
    return _OF_CLASS.get(of, "")


def own_bos(tokenizer: Any, d_vocab: int) -> int | None:
    """The id of a tokenizer's BOS token, if it has one that the model has a row for.

    The one that it puts in front of every text by itself, which need not be the one that it names
    (XGLM's is its EOS) nor named at all; else the one that it names.
    """
    bos = _put_in_front(tokenizer)
    if bos is None:
        bos = tokenizer.bos_token_id
    return bos if isinstance(bos, int) and bos < d_vocab else None


def _put_in_front(tokenizer: Any) -> int | None:
    """The one token that a tokenizer puts in front of a text by itself; None: none, or several."""
    framed = tokenizer.encode("a")
    bare = tokenizer.encode("a", add_special_tokens=False)
    ends = [n for n in range(len(framed)) if framed[n : n + len(bare)] == bare]
    front = framed[: ends[0]] if ends else []
    return front[0] if len(front) == 1 and front[0] in set_apart(tokenizer) else None


def separator(tokenizer: Any) -> int | None:
    """The id that repeated tokens begin with where a tokenizer has no BOS token, if there is one.

    The end-of-text token that stood between documents: a chat model's EOS ends a turn instead.
    """
    known = tokenizer.get_vocab()
    found = next((known[text] for text in SEPARATORS if text in known), None)
    return tokenizer.eos_token_id if found is None else found


def set_apart(tokenizer: Any) -> frozenset[int]:
    """The ids of all tokens that a tokenizer calls special or has had added."""
    return frozenset((*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder))


def _text_of(named: Any) -> str:
    """A token's text, which is given by itself or in an object with its properties."""
    if isinstance(named, Mapping):
        named = named.get("content")
    return named if isinstance(named, str) else ""
