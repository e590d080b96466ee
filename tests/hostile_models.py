"""Folders for HEADSCOPE_MODELS in which everything that a stranger may write is hostile."""

import json
from pathlib import Path

from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import WordLevel

from analysis.models.loading import BOS
from app.text import display_token
from tests.conftest import make_model
from tests.hostile import MANY

NAME = "hostile"  # the one of them that has weights
OFFERED = 210  # of those with titles, in the picker; the others are in the list of what is not here
SEPARATOR = "¦"
# Stands for every string: a prompt that fits into a link.
EVERYTHING = "¤"
# So do these for some of them each, where a prompt of all would be drawn slowly.
_PART = 50
PARTS = {f"{EVERYTHING}{i // _PART}": MANY[i : i + _PART] for i in range(0, len(MANY), _PART)}
# As the catalog takes them: one short line of printable characters; each another one.
TITLES = tuple(
    text if text.isprintable() and len(text) <= 80 else f"{display_token(text)[-76:]} {number}"
    for number, text in enumerate(MANY)
)
# Small, so that a page has to do with what it draws and not with its numbers.
_SIZES = {
    "n_layers": 2,
    "n_heads": 2,
    "d_model": 16,
    "d_head": 8,
    "d_mlp": 16,
    "n_ctx": 512,
    "d_vocab": 1 + len(MANY),
    "normalization": "LN",
}


def write_models(folder: Path) -> None:
    """One model that works and whose vocabulary is hostile; for each string one of that title."""
    config = {**_SIZES, "n_params": 10_000}
    working = _folder(folder / NAME, {**config, "title": MANY[1]})
    save_file(make_model(**_SIZES).bridge.state_dict(), working / "model.safetensors")
    (working / "history.json").write_text(json.dumps([{"step": text} for text in MANY]))
    (working / "README.md").write_text("\n\n".join(MANY), encoding="utf-8", errors="replace")
    (working / "checkpoints").mkdir()
    (working / "checkpoints" / "step-<script>.safetensors").touch()
    vocabulary(working / "tokenizer.json")
    for number, title in enumerate(TITLES):
        titled = _folder(folder / f"titled-{number}", {**config, "title": title})
        if number >= OFFERED:
            (titled / "model.safetensors").unlink()
    # Left out: these are no names that a link or a file name can hold.
    for name in ("<img src=x onerror=canary()>", "..hidden", "a b", "\u202eemit", "-x", "x" * 61):
        _folder(folder / name, config)
    for number, text in enumerate(MANY[:20]):
        _folder(folder / f"broken-{number}", {**config, "d_head": text, "act_fn": text})


def _folder(folder: Path, config: dict[str, object]) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "model.safetensors").touch()
    return folder


def vocabulary(file: Path) -> None:
    """A byte-level tokenizer whose words are the hostile strings, whole.

    Words of a prompt are parted by `SEPARATOR`.
    """
    bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    words = {BOS: 0}
    for text in MANY:
        words["".join(piece for piece, _ in bytes_of.pre_tokenize_str(text))] = len(words)
    tokenizer = Tokenizer(WordLevel(words, unk_token=BOS))
    stand_ins = {**PARTS, EVERYTHING: MANY}
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Replace(name, SEPARATOR.join(texts)) for name, texts in stand_ins.items()]
    )
    split = pre_tokenizers.Split(Regex(SEPARATOR), "removed")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_of])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(file))
