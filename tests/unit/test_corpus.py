"""Reading a text window by window, against patterns of plain transformers summed up by numpy."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.effects.ablation import ablate_head
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.heads.corpus.kept import WARM_UP
from analysis.heads.corpus.results import (
    KEYS,
    LEAST,
    CorpusScan,
    KeptWindow,
    TokenAttention,
    distance_bins,
)
from analysis.heads.corpus.scan import CorpusReader, corpus_scan, corpus_steps, read_on
from analysis.heads.corpus.texts import shipped_text
from analysis.heads.corpus.windows import Windows, text_windows
from analysis.models.catalog import BUNDLED
from analysis.models.loading import HeadModel
from analysis.runs.inputs import Tokens, token_texts
from app.compute.texts import shipped
from tests.architectures import plain, tiny
from tests.conftest import make_model
from tests.unit.test_right_values import run_plain

WINDOW, N = 32, 200
SEED = 3


@cache
def windows_of(model: HeadModel) -> Windows:
    whole = text_windows(model, shipped_text(), WINDOW)
    return Windows(whole.ids[:N].copy(), whole.n_first)


@cache
def scanned(architecture: str) -> CorpusScan:
    model = tiny(architecture)
    *_, last = corpus_steps(model, windows_of(model), SEED)
    return last.scan


@dataclass(frozen=True, eq=False)
class Plain:
    """The same windows in transformers: `pattern` and `norms` and `effects`, layers first."""

    ids: np.ndarray
    pattern: np.ndarray  # [window, layer, head, dest, src]
    norms: np.ndarray  # [window, layer, head, src]
    effects: np.ndarray  # [window, layer, head, dest]


@cache
def brute(architecture: str) -> Plain:
    ids = windows_of(tiny(architecture)).ids.astype(np.int64)
    output, seen = run_plain(plain(architecture), torch.from_numpy(ids))
    weights = {name: value.double() for name, value in plain(architecture).state_dict().items()}
    exact = {name: value.double() for name, value in seen.items() if torch.is_tensor(value)}
    norms, effects = PARTS[architecture](ids, weights, exact)
    pattern = torch.stack(output.attentions, 1).double().numpy()
    return Plain(ids, pattern, norms, effects)


def llama_parts(
    ids: np.ndarray, weights: dict[str, torch.Tensor], seen: dict[str, torch.Tensor]
) -> tuple[np.ndarray, np.ndarray]:
    """Value norms and direct effects of llama: 4 heads of 8, 2 key/value heads, RMS norms."""
    stream = seen["model.norm <"]
    scale = (stream.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()
    direction = weights["lm_head.weight"][ids[:, 1:]] * weights["model.norm.weight"]
    direction = direction / scale[:, :-1]
    norms, effects = [], []
    for layer in range(3):
        name = f"model.layers.{layer}.self_attn"
        w_o = weights[f"{name}.o_proj.weight"]  # [d_model, head * d_head]
        z, v = seen[f"{name}.o_proj <"], seen[f"{name}.v_proj >"]
        for head in range(4):
            own = slice(8 * head, 8 * head + 8)
            shared = slice(8 * (head // 2), 8 * (head // 2) + 8)
            norms.append((v[..., shared] @ w_o[:, own].T).norm(dim=-1))
            effects.append(((z[:, :-1, own] @ w_o[:, own].T) * direction).sum(-1))
    return by_head(norms), by_head(effects)


def gpt2_parts(
    ids: np.ndarray, weights: dict[str, torch.Tensor], seen: dict[str, torch.Tensor]
) -> tuple[np.ndarray, np.ndarray]:
    """The same of GPT-2, which has biases, and centres the stream."""
    stream = seen["transformer.ln_f <"]
    scale = (stream.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    direction = weights["lm_head.weight"][ids[:, 1:]] * weights["transformer.ln_f.weight"]
    norms, effects = [], []
    for layer in range(3):
        name = f"transformer.h.{layer}.attn"
        w_o = weights[f"{name}.c_proj.weight"]  # [head * d_head, d_model]
        bias = weights[f"{name}.c_attn.bias"][64:]
        v = seen[f"{name}.c_attn >"][..., 64:] - bias
        z = seen[f"{name}.c_proj <"]
        for head in range(4):
            own = slice(8 * head, 8 * head + 8)
            norms.append((v[..., own] @ w_o[own]).norm(dim=-1))
            write = z[:, :-1, own] @ w_o[own]
            write = write - write.mean(-1, keepdim=True)
            effects.append((write / scale[:, :-1] * direction).sum(-1))
    return by_head(norms), by_head(effects)


PARTS: dict[str, Callable[..., tuple[np.ndarray, np.ndarray]]] = {
    "llama": llama_parts,
    "gpt2": gpt2_parts,
}
BOTH = pytest.mark.parametrize("architecture", PARTS)


def by_head(values: list[torch.Tensor]) -> np.ndarray:
    stacked: np.ndarray = torch.stack(values, 1).unflatten(1, (3, 4)).numpy()
    return stacked


@BOTH
def test_attention_by_distance_is_that_of_all_windows_summed_up(architecture: str) -> None:
    scan, pattern = scanned(architecture), brute(architecture).pattern
    assert (scan.n_windows, scan.queries) == (N, N * (WINDOW - 1))
    place = np.arange(WINDOW)
    distance = place[:, None] - place
    for bin, (low, high) in enumerate(distance_bins(WINDOW)):
        there = (distance >= low) & (distance <= high)
        there[0] = False
        expected = (pattern * there).sum((0, 3, 4))
        np.testing.assert_allclose(scan.by_distance[..., bin], expected, atol=2e-3)
        there[:, 1:] = False
        np.testing.assert_allclose(
            scan.first_by_distance[..., bin], (pattern * there).sum((0, 3, 4)), atol=2e-3
        )
    np.testing.assert_allclose(scan.at_first, pattern[..., 1:, 0].mean((0, 3)), atol=1e-6)


@BOTH
def test_histograms_count_every_query_and_every_window(architecture: str) -> None:
    scan, pattern = scanned(architecture), brute(architecture).pattern
    np.testing.assert_allclose(scan.by_distance.sum(-1), scan.queries, rtol=1e-5)
    assert (scan.first_histogram.sum(-1) == scan.queries).all()
    assert (scan.max_histogram.sum(-1) == N).all()
    for layer, head in np.ndindex(3, 4):
        for found, shares in (
            (scan.first_histogram, pattern[:, layer, head, 1:, 0]),
            (scan.max_histogram, pattern[:, layer, head, 1:, 1:].max((1, 2))),
        ):
            expected, _ = np.histogram(shares, bins=20, range=(0, 1))
            assert np.abs(found[layer, head] - expected).sum() <= 2  # rounding at an edge


@BOTH
@pytest.mark.parametrize("side", ["key", "query"])
def test_attention_by_token_is_that_of_all_its_places(architecture: str, side: str) -> None:
    scan, same = scanned(architecture), brute(architecture)
    inner = same.pattern[..., 1:, 1:]
    at = inner.sum(-2) if side == "key" else inner.sum(-1)  # [window, layer, head, pos]
    uniform = np.tri(WINDOW) / np.arange(1, WINDOW + 1)[:, None]
    chance = uniform[1:, 1:].sum(0 if side == "key" else 1)
    ids = same.ids[:, 1:]
    head = Head(1, 2)
    found = scan.top_keys(head) if side == "key" else scan.top_queries(head)
    assert len(found) == 50
    total = np.zeros(4096)
    np.add.at(total, ids.ravel(), at[:, head.layer, head.head].ravel())
    assert [each.id for each in found[:20]] == np.argsort(-total, kind="stable")[:20].tolist()
    for each in found:
        there = ids == each.id
        assert each.count == there.sum()
        assert each.attention == pytest.approx(total[each.id], abs=1e-3)
        assert each.chance == pytest.approx((there * chance).sum(), rel=1e-6)


@BOTH
def test_scores_on_text_pool_the_destinations_of_all_windows(architecture: str) -> None:
    scan, same = scanned(architecture), brute(architecture)
    attention = np.zeros((3, 4))
    uniform, count = 0.0, 0
    for ids, pattern in zip(same.ids, same.pattern, strict=True):
        for dest in range(1, WINDOW):
            after = [src for src in range(1, dest) if ids[src - 1] == ids[dest]]
            if after:
                attention += pattern[:, :, dest, after].sum(-1)
                uniform += len(after) / (dest + 1)
                count += 1
    np.testing.assert_allclose(scan.scores["induction"], attention / count, atol=1e-5)
    assert scan.chance["induction"] == pytest.approx(uniform / count, abs=1e-6)
    np.testing.assert_allclose(scan.scores["first"], scan.at_first, atol=1e-7)


@BOTH
def test_what_is_written_of_the_first_token(architecture: str) -> None:
    scan, same = scanned(architecture), brute(architecture)
    written = same.pattern[..., 1:, :] * same.norms[..., None, :]
    expected = written[..., 0].sum((0, 3)) / written.sum((0, 3, 4))
    np.testing.assert_allclose(scan.written_at_first, expected, atol=1e-4)


@BOTH
def test_the_best_windows_and_a_fair_sample_of_each_interval_are_kept(architecture: str) -> None:
    scan, same = scanned(architecture), brute(architecture)
    order = np.random.default_rng(SEED).permutation(N)
    maxima = same.pattern[..., 1:, 1:].max((-1, -2))
    for layer, head in ((0, 0), (1, 3), (2, 1)):
        own = maxima[:, layer, head].astype(np.float32)
        edges = np.quantile(own[order[:WARM_UP]], [0.2, 0.4, 0.6, 0.8])
        np.testing.assert_allclose(scan.edges[layer, head], edges, atol=1e-6)
        interval = (own[:, None] >= edges - 1e-7).sum(1)
        kept = scan.windows(Head(layer, head))
        assert len(kept) == 22
        assert [each.maximum for each in kept] == sorted((e.maximum for e in kept), reverse=True)
        numbers = [{e.number for e in kept if e.interval == i} for i in range(5)]
        for i in range(4):
            assert numbers[i] == set(order[interval[order] == i][:3])
        best = sorted(np.flatnonzero(interval == 4), key=lambda n: -own[n])[:10]
        assert numbers[4] == set(best)


@BOTH
def test_a_kept_window_holds_the_largest_keys_of_each_row(architecture: str) -> None:
    scan, same = scanned(architecture), brute(architecture)
    head = Head(2, 1)
    for kept in scan.windows(head)[::5]:
        pattern = same.pattern[kept.number, head.layer, head.head]
        norms = same.norms[kept.number, head.layer, head.head]
        assert kept.ids.tolist() == same.ids[kept.number].tolist()
        np.testing.assert_allclose(kept.norms, norms, rtol=2e-3)
        np.testing.assert_allclose(
            kept.effects[:-1], same.effects[kept.number, head.layer, head.head], atol=0.02
        )
        assert np.isnan(kept.effects[-1])
        value = (pattern * norms)[1:, 1:].max()
        assert kept.largest_value == pytest.approx(value, rel=1e-4)
        for dest in range(WINDOW):
            largest = np.sort(pattern[dest])[::-1][:KEYS]
            expected = np.where(largest >= LEAST, largest, 0)
            np.testing.assert_allclose(kept.attention[dest], expected[:KEYS], atol=2e-5)
            there = kept.attention[dest] > 0
            np.testing.assert_allclose(
                pattern[dest, kept.keys[dest][there]], kept.attention[dest][there], atol=2e-5
            )
        query, key = kept.strongest
        assert pattern[query, key] == pytest.approx(pattern[1:, 1:].max(), abs=1e-6)
        np.testing.assert_allclose(kept.dense, np.where(kept.dense > 0, pattern, 0), atol=2e-5)


def test_windows_are_ordered_by_what_they_are_asked_for_and_unknown_ones_come_last() -> None:
    scan, head = scanned("llama"), Head(1, 0)
    for order in ("value", "effect"):
        ranks = [each.rank(order) for each in scan.windows(head, order)]
        assert ranks == sorted(ranks, reverse=True)
    model = tiny("llama")
    losses = {}
    for kept in scan.windows(head)[:3]:
        tokens = Tokens(kept.ids[None], (("",) * WINDOW,), None, has_bos=True)
        losses[kept.number] = np.append(ablate_head(model, tokens, head).per_token, np.nan)
    by_loss = scan.windows(head, "loss", losses)
    assert {each.number for each in by_loss[:3]} == set(losses)
    largest = [np.nanmax(losses[each.number]) for each in by_loss[:3]]
    assert largest == sorted(largest, reverse=True)
    assert np.isnan(by_loss[3].rank("loss"))


def test_pieces_give_exactly_what_the_whole_gives() -> None:
    """Not nearly: sums are of whole numbers, and a sample is the first of a random order."""
    model = tiny("llama")
    windows = windows_of(model)
    edges = scanned("llama").edges.reshape(12, 4).astype(np.float64)
    whole, later, first = (
        CorpusReader(model.info, windows, SEED, turns, edges)
        for turns in (range(N), range(72, N), range(72))
    )
    for reader in (whole, later, first):
        for _ in read_on(model, reader):
            pass
    later.merge(first)
    texts = partial(token_texts, model.tokenizer)
    merged_result = later.result(texts)
    for name, value in vars(whole.result(texts)).items():
        merged = getattr(merged_result, name)
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(merged, value, err_msg=name)
    with pytest.raises(ValueError, match="other intervals"):
        first.merge(CorpusReader(model.info, windows, SEED, edges=edges + 1))
    with pytest.raises(ValueError, match="not known yet"):
        first.merge(CorpusReader(model.info, windows, SEED))


def test_a_previous_token_head_has_distance_1_in_every_window() -> None:
    model = previous_token_model()
    scan = corpus_scan(model, shipped_text()[:20_000], window=16, seed=1)
    head = Head(0, 0)
    assert scan.by_distance[0, 0, 1] == pytest.approx(scan.queries, rel=1e-6)
    assert scan.scores["previous"][0, 0] == pytest.approx(1, abs=1e-6)
    assert scan.at_first[0, 0] == pytest.approx(1 / 15, abs=1e-6)
    kept = scan.windows(head)
    assert len(kept) == 10  # all maxima are alike: there is no lower interval
    for window in kept:
        assert (window.keys[1:, 0] == np.arange(15)).all()
        assert (window.attention[1:, 0] > 0.999).all()


def previous_token_model() -> HeadModel:
    """Head 0 compares each position with the one before the other: nothing else is in its q, k."""
    model = make_model(n_layers=1, n_heads=2, d_head=16, n_ctx=16)
    attention = model.bridge.blocks[0].attn
    model.bridge.W_E.zero_()
    model.bridge.W_pos.zero_()
    model.bridge.W_pos[:, :16] = torch.eye(16)
    for weight in (attention.W_Q, attention.W_K, attention.b_Q, attention.b_K):
        weight[0].zero_()
    attention.W_Q[0, :16] = 400 * torch.eye(16)
    attention.W_K[0, :15, 1:] = torch.eye(15)
    return model


def test_partial_results_sharpen_and_the_lock_is_free_in_between() -> None:
    model = tiny("llama")
    done, shown = [], []
    for step in corpus_steps(model, windows_of(model), SEED):
        assert not model.lock.locked()
        done.append(step.done)
        shown.append(step.scan.n_windows)
        assert step.scan.by_distance.sum() == pytest.approx(12 * step.scan.queries)
    assert done == sorted(set(done))
    assert done[-1] == shown[-1] == N
    assert shown[0] == done[0] < N / 5
    steps = corpus_steps(model, windows_of(model), SEED)
    next(steps)
    steps.close()  # as Cancel does
    assert not model.lock.locked()


def test_the_order_depends_on_the_seed_alone() -> None:
    model = tiny("llama")
    few = Windows(windows_of(model).ids[:40].copy(), 1)
    first, again, other = (next(corpus_steps(model, few, s)).scan for s in (0, 0, 1))
    np.testing.assert_array_equal(first.window_numbers, again.window_numbers)
    assert first.window_numbers.tolist() != other.window_numbers.tolist()


@pytest.mark.parametrize("architecture", ["gemma3", "neox", "native", "qwen3", "shortformer"])
def test_every_architecture_is_read_and_what_is_not_defined_is_not_said(architecture: str) -> None:
    model = tiny(architecture)
    scan = corpus_scan(model, shipped_text()[:4_000], window=24)
    np.testing.assert_allclose(scan.by_distance.sum(-1), scan.queries, rtol=1e-5)
    kept = scan.windows(Head(0, 0))[0]
    defined = architecture != "gemma3"  # where a norm follows the heads' sum
    assert np.isnan(scan.written_at_first).all() != defined
    assert np.isnan(kept.effects[:-1]).all() != defined
    assert np.isnan(kept.norms).all() != defined


def test_a_text_becomes_windows_of_its_tokens_in_order(attention_only: HeadModel) -> None:
    text = shipped_text()[:5_000]
    ids = attention_only.tokenizer.encode(text, add_special_tokens=False)
    windows = text_windows(attention_only, [text[:2_000], text[2_000:]], 20)
    assert (windows.ids[:, 0] == attention_only.bos_id).all()
    assert windows.ids.shape[1] == 20
    assert windows.n_first == 1
    assert not windows.cut
    again = attention_only.tokenizer.decode(windows.ids[:, 1:].ravel().tolist())
    assert text.startswith(again[:1_900])
    assert abs(windows.ids[:, 1:].size - len(ids)) < 25
    short = text_windows(attention_only, "A ship, and a parrot.", 64)
    assert len(short.ids) == 1
    most = text_windows(attention_only, text, 20, most=100)
    assert most.cut
    assert most.ids[:, 1:].size == 95


@pytest.mark.parametrize(
    ("text", "window", "said"),
    [
        ("", 32, "The text has 0 tokens"),
        ("Jim", 5, "takes 8 to 64"),
        ("Jim", 65, "takes 8 to 64"),
        ("Jim \ud800", 32, "Character 5 of the text is half of a surrogate pair"),
    ],
)
def test_what_cannot_be_read_is_refused(
    attention_only: HeadModel, text: str, window: int, said: str
) -> None:
    with pytest.raises(AnalysisError, match=said):
        text_windows(attention_only, text, window)
    with pytest.raises(AnalysisError, match="seed must be"):
        corpus_scan(attention_only, "Jim Hawkins and the squire", 8, seed=-1)


def test_bins_of_distance_cover_a_window_once() -> None:
    assert distance_bins(8) == ((0, 0), (1, 1), (2, 2), (3, 4), (5, 7))
    for window in (2, 3, 17, 256, 1024):
        places = [d for low, high in distance_bins(window) for d in range(low, high + 1)]
        assert places == list(range(window))


def test_chance_is_what_uniform_attention_gives() -> None:
    scan = scanned("llama")
    whole, first = scan.chance_by_distance
    uniform = np.tri(WINDOW) / np.arange(1, WINDOW + 1)[:, None]
    place = np.arange(WINDOW)
    distance = place[:, None] - place
    for bin, (low, high) in enumerate(distance_bins(WINDOW)):
        there = (uniform * ((distance >= low) & (distance <= high)))[1:]
        assert whole[bin] == pytest.approx(N * there.sum())
        assert first[bin] == pytest.approx(N * there[:, 0].sum())
    assert whole.sum() == pytest.approx(scan.queries)


def test_the_code_of_its_figures_finds_the_shipped_text() -> None:
    assert Path(shipped().file or "").read_text("utf-8") == shipped_text()


def test_the_shipped_text_is_no_part_of_what_the_bundled_models_saw() -> None:
    """The novel is one of the four that were held out, and the card of each model says so."""
    text = shipped_text()
    assert 100_000 < len(text.encode()) <= 200_000
    assert text.isascii()
    assert "Treasure Island" in text
    for name in ("attn-only-2l", "gelu-4l"):
        card = (BUNDLED / name / "README.md").read_text("utf-8")
        assert "Four were held out" in card
        assert "Treasure Island (R. L. Stevenson)" in card


def test_results_are_read_only() -> None:
    scan = scanned("llama")
    kept: KeptWindow = scan.windows(Head(0, 0))[0]
    token: TokenAttention = scan.top_keys(Head(0, 0))[0]
    for array in (scan.by_distance, scan.kept_keys, kept.attention, kept.ids):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    assert token.count > 0
    label = tiny("llama").tokenizer.decode([token.id])
    assert scan.labels([token.id, *kept.ids.tolist()])[0] == label
