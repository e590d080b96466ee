"""The table of the course's figures, on random models in the layouts of its own."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis import course
from analysis.models import catalog
from analysis.models.catalog import BUNDLED
from analysis.models.convert import convert_state_dict, read_state_dict
from analysis.models.loading import load_model
from analysis.runs.inputs import tokenize
from tests.layouts import gpt2_folder, toy_file


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine without either model."""
    monkeypatch.setenv("HEADSCOPE_CACHE", str(tmp_path / "store"))
    monkeypatch.setenv("HEADSCOPE_MODELS", str(tmp_path / "own"))
    (tmp_path / "own").mkdir()
    catalog.refresh()
    yield tmp_path
    monkeypatch.undo()
    catalog.refresh()


def install(root: Path, n_heads: int = 12, prefix: str = "") -> None:
    """Random weights in the very layouts that the models have, but smaller."""
    file = toy_file(
        root / "attn_only_2L_half.pth",
        n_ctx=160,
        d_vocab=4096,
        d_model=4 * n_heads,
        n_heads=n_heads,
    )
    convert_state_dict(
        course.MODEL, read_state_dict(file), BUNDLED / "attn-only-2l" / "tokenizer.json"
    )
    sizes = {"n_layer": 8, "n_head": n_heads, "n_embd": 4 * n_heads, "n_positions": 512}
    gpt2_folder(root / "own" / course.GPT2, prefix, vocab_size=2000, **sizes)
    catalog.refresh()


@pytest.mark.parametrize("prefix", ["", "transformer."])
def test_every_figure_has_a_line_and_a_random_model_has_few_of_them(root, capsys, prefix) -> None:
    install(root, prefix=prefix)
    assert course.main() == 1
    *lines, last = capsys.readouterr().out.splitlines()
    held = 0
    for name, (_, figures) in course.TABLES.items():
        assert lines.pop(0).split() == [name, "course", "ours", "within"]
        for figure in figures:
            line = lines.pop(0)
            assert line.startswith(figure.section)
            assert figure.name in line
            assert line.endswith(("  agrees", "  DIFFERS"))
            held += line.endswith("  agrees")
    assert not lines
    total = len(course.FIGURES) + len(course.GPT2_FIGURES)
    assert last == f"{held} of {total} figures agree with the course."
    # By chance a random model may have a strongest head in the right place.
    assert held < 6


def test_the_hubs_layout_of_gpt2_has_the_end_of_text_for_bos(root) -> None:
    """Its tokenizer_config.json is 26 bytes, and names none."""
    install(root)
    model = load_model(course.GPT2, "cpu")
    assert (model.info.folder / "tokenizer_config.json").stat().st_size == 26
    assert model.info.has_bos
    assert model.bos_id == 1999
    assert tokenize(model, "gpt2").ids[0, 0] == 1999


def test_a_float32_file_of_the_toy_model_is_loaded_as_it_is(root) -> None:
    install(root)
    own = read_state_dict(root / "attn_only_2L_half.pth")
    bridge = load_model(course.MODEL, "cpu").bridge
    for name, value in (("W_E", "embed.W_E"), ("W_pos", "pos_embed.W_pos"), ("W_U", "unembed.W_U")):
        assert torch.equal(getattr(bridge, name), own[value])
    assert torch.equal(bridge.blocks[1].attn.W_K, own["blocks.1.attn.W_K"])


def test_a_figure_holds_within_its_tolerance_only() -> None:
    number = course.Figure("0", "a number", 0.5, 0.01, lambda _: 0.509)
    words = course.Figure("0", "heads", "L0H7", 0.0, lambda _: "L0H7")
    measured = object.__new__(course.Measured)  # neither looks at it
    for figure, holds in (
        (number, True),
        (replace(number, ours=lambda _: 0.511), False),
        (replace(number, ours=lambda _: np.nan), False),
        (words, True),
        (replace(words, ours=lambda _: "L0H7 L1H4"), False),
    ):
        line, found = course.compare(figure, measured)
        assert found == holds
        assert line.endswith("agrees" if holds else "DIFFERS")


def test_without_the_weights_it_says_how_to_bring_them(root, capsys) -> None:
    assert course.main() == 1
    gpt2, toy, _ = capsys.readouterr().out.splitlines()
    assert gpt2.startswith("gpt2 is not on this machine. Fetch its weights")
    assert toy.startswith("attn-only-2L-half is not on this machine. Fetch its weights")
    assert "analysis.models.convert attn-only-2L-half" in toy


def test_a_model_that_lacks_the_courses_heads_is_refused(root, capsys) -> None:
    install(root, n_heads=4)
    assert course.main() == 1
    said = capsys.readouterr().out
    assert "L7H11 was asked for" in said
    assert "L1H11 was asked for" in said
