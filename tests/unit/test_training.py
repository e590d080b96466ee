"""Training: rows, schedule, the network against TransformerLens, and a whole tiny run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from analysis.models import catalog
from analysis.models.loading import HeadModel, load_model
from tests.conftest import make_model
from training.__main__ import main
from training.bar import Line, check
from training.corpus import (
    LONGEST_PAGE,
    MAX_PERIOD,
    MIN_PERIOD,
    Corpus,
    prepare,
    repeated_row,
    split,
    text_row,
    training_batch,
)
from training.finish import choose
from training.measure import text_loss
from training.network import Architecture, InitialScales, Network
from training.train import held_out_rows, learning_rate, next_token_loss

BOS = 0
SCALES = {
    "embedding_scale": 0.25,
    "position_scale": 0.25,
    "unembedding_scale": 0.02,
    "output_scale": 1.0,
}


@pytest.fixture
def corpus() -> Corpus:
    """Streams whose every token is its own position, so that stretches can be recognised."""
    return Corpus(np.arange(1, 4000, dtype=np.uint16), np.arange(4000, 4096), 4096, BOS)


def test_a_repeated_row_is_bos_and_one_stretch_until_it_is_full(corpus: Corpus) -> None:
    rng = np.random.default_rng(0)
    periods = set()
    for _ in range(50):
        row = repeated_row(corpus, 64, rng)
        assert len(row) == 64
        assert row[0] == BOS
        assert BOS not in row[1:]
        period = next(p for p in range(1, 64) if np.array_equal(row[1 + p :], row[1:-p]))
        assert MIN_PERIOD <= period <= min(MAX_PERIOD, 63 // 2)
        periods.add(period)
    assert len(periods) > 10


def test_a_text_row_is_bos_and_consecutive_tokens(corpus: Corpus) -> None:
    row = text_row(corpus.train, 40, BOS, np.random.default_rng(0))
    assert row[0] == BOS
    assert np.all(np.diff(row[1:].astype(int)) == 1)
    assert len(row) == 40


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_share_of_repeats_is_kept(corpus: Corpus, share: float) -> None:
    batch = training_batch(corpus, 16, 64, share, np.random.default_rng(0))
    assert batch.shape == (16, 64)
    assert batch.dtype == np.int64
    repeated = [len(set(row[1:])) < 63 for row in batch]
    assert np.mean(repeated) == share


def test_held_out_documents_are_never_trained_on_and_single_pages_not_held_out() -> None:
    novels = [f"{i} " * LONGEST_PAGE for i in range(60)]
    novels[25] = "a page"
    train, held_out = split(novels)
    assert held_out == [novels[0], novels[50]]
    assert not set(held_out) & set(train)
    assert "a page" not in train
    assert len(train) == 57


def test_the_streams_hold_the_documents_of_their_own_side(tmp_path: Path) -> None:
    """A mistake here would make the text loss a loss on training data."""
    corpus = prepare(_write_novels(tmp_path), tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    train, held_out = (tokenizer.decode(s.tolist()) for s in (corpus.train, corpus.held_out))
    for index in range(27):
        assert (f"novel{index}x" in held_out) == (index in (0, 25))
        assert (f"novel{index}x" in train) == (index not in (0, 25))
    assert (corpus.train == BOS).sum() == 25
    again = prepare(tmp_path / "absent.txt", tmp_path)
    assert np.array_equal(again.train, corpus.train)


def test_the_rate_runs_straight_between_the_points_of_the_recipe() -> None:
    points = [[0, 0.0], [100, 1.0], [500, 1.0], [1000, 0.1]]
    rates = [learning_rate(tokens, points) for tokens in (0, 50, 100, 400, 750, 1000, 2000)]
    assert rates == pytest.approx([0.0, 0.5, 1.0, 1.0, 0.55, 0.1, 0.1])


def test_the_loss_is_the_mean_over_every_next_token() -> None:
    size = Architecture(1, 2, 16, 8, 32, d_mlp=0, layer_norm=False)
    network = Network(size, 50, InitialScales(0.25, 0.25, 0.5, 1.0))
    batch = torch.randint(0, 50, (3, 20), generator=torch.Generator().manual_seed(0))
    logits = network(batch)[:, :-1].flatten(0, 1)
    expected = torch.nn.functional.cross_entropy(logits, batch[:, 1:].flatten())
    torch.testing.assert_close(next_token_loss(network, batch), expected)


@pytest.mark.parametrize(("d_mlp", "normalization"), [(0, None), (64, "LN")])
def test_the_network_computes_what_transformer_lens_computes(
    d_mlp: int, normalization: str | None
) -> None:
    model: HeadModel = make_model(d_mlp=d_mlp, normalization=normalization, seed=3)
    size = Architecture(
        n_layers=2,
        n_heads=4,
        d_model=32,
        d_head=8,
        n_ctx=64,
        d_mlp=d_mlp,
        layer_norm=normalization is not None,
    )
    network = Network(size, 4096, InitialScales(**SCALES))
    network.load_state_dict(model.bridge.state_dict(), strict=True)
    ids = torch.randint(4096, (3, 64), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(network(ids), model.bridge(ids), atol=1e-4, rtol=0)


def test_checkpoints_are_chosen_dense_where_induction_forms() -> None:
    induction = [0.0] * 10 + [0.2, 0.4, 0.6, 0.8] + [0.8, 0.7] * 8
    history = [
        {
            "tokens": 1000 * i,
            "second_half_loss": 8 - 9 * score,
            "scores": {"induction": [[0.0, score]]},
        }
        for i, score in enumerate(induction)
    ]
    chosen = choose(history, 8)
    assert len(chosen) == 8
    assert chosen[0] == 0
    assert chosen[-1] == len(history) - 1
    assert sum(9 <= i <= 13 for i in chosen) >= 4
    assert choose(history, 99) == list(range(len(history)))


def test_a_line_of_the_bar_has_one_limit_and_says_whether_it_is_met() -> None:
    assert Line("loss", 4.0, at_most=4.1).met
    assert not Line("loss", 4.2, at_most=4.1).met
    assert Line("score", 0.9, at_least=0.9).met
    assert not Line("score", float("nan"), at_least=0.9).met
    with pytest.raises(ValueError, match="one of at_least and at_most"):
        Line("loss", 4.0)


RECIPE = """
name = "tiny"
title = "Tiny"
seed = 0
about = "A model for the test."
made = "In no time."
limits = "It knows nothing."
[architecture]
n_layers = 2
n_heads = 2
d_model = 16
d_head = 8
n_ctx = 128
d_mlp = 32
layer_norm = true
[initial]
embedding_scale = 0.25
position_scale = 0.25
unembedding_scale = 0.02
output_scale = 1.0
[optimizer]
muon = true
learning_rate = [[0, 0.0], [128, 3e-3], [384, 3e-5]]
betas = [0.9, 0.98]
weight_decay = 0.01
clip = 1.0
[[phases]]
until_tokens = 384
row_length = 64
rows = 2
repeat_share = 0.5
[checkpoints]
dense_every_tokens = 192
dense_until_tokens = 384
sparse_every_tokens = 192
keep = 2
[bar]
text_loss = {{ at_most = {limit} }}
"""


def test_one_command_makes_a_complete_model_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = _write_novels(tmp_path)
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE.format(limit=10))
    command = [str(recipe), "--corpus", str(text), "--work", str(tmp_path / "work")]
    command += ["--models", str(tmp_path / "models")]
    assert main(command) == 0

    folder = tmp_path / "models" / "tiny"
    assert {f.name for f in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "README.md",
        "history.json",
        "checkpoints",
    }
    history = json.loads((folder / "history.json").read_text())
    assert [r["tokens"] for r in history] == [0, 256, 384]
    shipped = [r["checkpoint"] for r in history if r["checkpoint"]]
    assert sorted(shipped) == sorted(f"checkpoints/{f.name}" for f in folder.glob("checkpoints/*"))
    assert len(shipped) == 2
    assert (folder / shipped[-1]).read_bytes() == (folder / "model.safetensors").read_bytes()

    info = catalog.read_info(folder)
    monkeypatch.setattr("analysis.models.loading.find_model", lambda name: info)
    model = load_model("tiny")
    rows = held_out_rows(prepare(text, tmp_path / "work"), info.n_ctx)
    assert text_loss(model, rows) == pytest.approx(history[-1]["text_loss"], abs=1e-4)

    # A recipe with more tokens goes on where the run ended.
    recipe.write_text(RECIPE.format(limit=10).replace("until_tokens = 384", "until_tokens = 512"))
    assert main([*command, "--resume"]) == 0
    longer = json.loads((folder / "history.json").read_text())
    assert [r["tokens"] for r in longer] == [0, 256, 384, 512]
    # The third was the last of the first run, so it was measured on more text there.
    assert [r["text_loss"] for r in longer[:2]] == [r["text_loss"] for r in history[:2]]

    # Finishing again changes nothing, and a bar that is missed is an error that says so.
    before = (folder / "history.json").read_bytes()
    recipe.write_text(RECIPE.format(limit=1))
    assert main([*command, "--finish-only"]) == 1
    assert (folder / "history.json").read_bytes() == before
    assert "**no**" in (folder / "README.md").read_text()


def test_a_recipe_cannot_ask_for_an_unknown_figure() -> None:
    with pytest.raises(KeyError, match="charm"):
        check({"charm": {"at_least": 1}}, None)  # type: ignore[arg-type]


def _write_novels(folder: Path) -> Path:
    """27 documents of random words, each with a word that occurs in no other."""
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("aeioumnrst"), size=4)) for _ in range(300)]
    novels = [
        f" novel{i}x ".join(" ".join(rng.choice(words, size=500)) for _ in range(3))
        for i in range(27)
    ]
    path = folder / "novels.txt"
    path.write_text("\f".join(novels), encoding="utf-8")
    return path
