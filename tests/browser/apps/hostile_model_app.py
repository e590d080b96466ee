"""The whole app on a model of hostile words: each string of `tests.hostile` is one token.

No real tokenizer here has such a vocabulary. Words of a prompt are parted by `SEPARATOR`.
"""

import tempfile
from functools import cache
from pathlib import Path

import streamlit as st
from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import WordLevel

from analysis import models
from app.navigation import run_selected_page
from tests.hostile import MANY

ROOT = Path(__file__).parents[3]
SEPARATOR = "¦"
_load_tokenizer = models.load_tokenizer


@cache
def tokenizer_file() -> Path:
    """A byte-level tokenizer of hostile words; from the second round on each ends in a number."""
    bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    words = {models.BOS: 0}
    while len(words) < 4096:
        number = len(words)
        text = MANY[number % len(MANY)] + (str(number) if number > len(MANY) else "")
        words["".join(piece for piece, _ in bytes_of.pre_tokenize_str(text))] = number
    tokenizer = Tokenizer(WordLevel(words, unk_token=models.BOS))
    split = pre_tokenizers.Split(Regex(SEPARATOR), "removed")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_of])
    tokenizer.decoder = decoders.ByteLevel()
    file = Path(tempfile.mkdtemp()) / "tokenizer.json"
    tokenizer.save(str(file))
    return file


def main() -> None:
    """Draw the page that the address names."""
    # As in the entry point: otherwise Streamlit asks a font service for the icon.
    st.set_page_config(page_icon=str(ROOT / "app" / "favicon.png"), layout="wide")
    models.load_tokenizer = lambda file: _load_tokenizer(tokenizer_file())
    run_selected_page()


if __name__ == "__main__":
    main()
