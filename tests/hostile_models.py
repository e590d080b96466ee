"""Folders for HEADSCOPE_MODELS in which everything that a stranger may write is hostile."""

import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import WordLevel

from analysis.catalog import BUNDLED
from analysis.models import BOS
from tests.hostile import MANY

NAME = "hostile"  # the one of them that has weights
OFFERED = 5  # of those with titles, in the picker; the others are in the list of what is not here
SEPARATOR = "¦"
# Stands for every string: a prompt that fits into a link.
EVERYTHING = "¤"
_BASE = BUNDLED / "gelu-4l"


def write_models(folder: Path) -> None:
    """One model that works and whose vocabulary is hostile; for each string one of that title."""
    config = json.loads((_BASE / "config.json").read_text(encoding="utf-8"))
    working = _folder(folder / NAME, {**config, "title": MANY[1][:80]})
    (working / "model.safetensors").unlink()
    (working / "model.safetensors").symlink_to(_BASE / "model.safetensors")
    (working / "history.json").write_text(json.dumps([{"step": text} for text in MANY]))
    (working / "README.md").write_text("\n\n".join(MANY), encoding="utf-8", errors="replace")
    (working / "checkpoints").mkdir()
    (working / "checkpoints" / "step-<script>.safetensors").touch()
    vocabulary(working / "tokenizer.json")
    for number, text in enumerate(MANY):
        titled = _folder(folder / f"titled-{number}", {**config, "title": text[:80]})
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
    """A byte-level tokenizer of whole hostile words; after the first round each has a number.

    Words of a prompt are parted by `SEPARATOR`.
    """
    bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    words = {BOS: 0}
    while len(words) < 4096:
        number = len(words)
        text = MANY[(number - 1) % len(MANY)] + (str(number) if number > len(MANY) else "")
        words["".join(piece for piece, _ in bytes_of.pre_tokenize_str(text))] = number
    tokenizer = Tokenizer(WordLevel(words, unk_token=BOS))
    tokenizer.normalizer = normalizers.Replace(EVERYTHING, SEPARATOR.join(MANY))
    split = pre_tokenizers.Split(Regex(SEPARATOR), "removed")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_of])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(file))
