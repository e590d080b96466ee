"""OV and QK circuits: known answers, an independent way for each number, and refusals."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformer_lens import FactoredMatrix
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge

import analysis
from analysis.circuits import copying
from analysis.circuits.copying import diagonal_hits, k_composition_circuit, ov_copying
from analysis.circuits.embeddings import default_embedding
from analysis.circuits.ov_qk import ov_sample, ov_top_tokens, previous_token_circuit, qk_preferences
from analysis.circuits.spectra import factored_matrix_facts, ov_eigenvalues, ov_svd, time_factored
from analysis.circuits.weights import FOLDED, RAW, circuit_weights, unembed
from analysis.errors import AnalysisError
from analysis.head import Head, require_heads
from analysis.models.loading import HeadModel
from analysis.neurons import promoted_tokens
from analysis.runs.inputs import repeated_tokens
from analysis.runs.patterns import attention_patterns
from tests.allocations import largest_tensor
from tests.architectures import CONFIGS, from_config, tiny
from tests.conftest import make_model


@pytest.fixture(scope="module", params=["attention_only", "with_mlp"])
def any_model(request: pytest.FixtureRequest) -> HeadModel:
    """Both kinds of model: without norms, and with LayerNorm."""
    model: HeadModel = request.getfixturevalue(request.param)
    return model


def rotary_model() -> HeadModel:
    """A tiny model whose positions are rotations."""
    model = make_model()
    config = TransformerBridgeConfig(
        n_layers=2,
        n_heads=4,
        d_model=32,
        d_head=8,
        n_ctx=64,
        d_vocab=4096,
        attn_only=True,
        normalization_type=None,
        positional_embedding_type="rotary",
        act_fn="gelu",
        seed=0,
    )
    bridge = TransformerBridge.boot_native(config, tokenizer=model.tokenizer).eval()
    info = replace(model.info, positions="rotary")
    return HeadModel(info, bridge, model.tokenizer, fingerprint="rotary")


def tokens_read(model: HeadModel, layer: int) -> torch.Tensor:
    """W_E, behind the first MLP where there is one, worked out from the weights alone."""
    w_e, state = model.bridge.W_E, model.bridge.state_dict()
    if layer == 0 or not model.info.has_mlp:
        return w_e
    normed = functional.layer_norm(
        w_e, w_e.shape[-1:], state["blocks.0.ln2.weight"], state["blocks.0.ln2.bias"]
    )
    mlp = model.bridge.blocks[0].mlp
    return w_e + functional.gelu(normed @ mlp.W_in + mlp.b_in) @ mlp.W_out + mlp.b_out


def normed(model: HeadModel, layer: int, vectors: torch.Tensor) -> torch.Tensor:
    """Through the norm before a layer's heads, from its weights alone."""
    if model.info.normalization is None:
        return vectors
    state = model.bridge.state_dict()
    weight, bias = (state[f"blocks.{layer}.ln1.{part}"] for part in ("weight", "bias"))
    return functional.layer_norm(vectors, vectors.shape[-1:], weight, bias)


def dense_ov(model: HeadModel, *heads: Head) -> torch.Tensor:
    w = circuit_weights(model)
    read = [tokens_read(model, h.layer) @ w.W_V[h.layer, h.head] for h in heads]
    written = [each @ w.W_O[h.layer, h.head] for each, h in zip(read, heads, strict=True)]
    return torch.stack(written).sum(0) @ w.W_U


def dense_hits(matrix: torch.Tensor, k: int) -> np.ndarray:
    own = torch.arange(len(matrix))[:, None]
    return (matrix.topk(k, dim=1).indices == own).any(1).numpy()


# --- weights ----------------------------------------------------------------------------------


def test_weights_of_a_model_without_norms_are_its_own(attention_only: HeadModel) -> None:
    weights = circuit_weights(attention_only)
    assert weights.assumes == RAW
    for name in ("W_E", "W_pos", "W_Q", "W_K", "W_V", "W_O", "W_U", "b_Q", "b_K"):
        assert torch.equal(getattr(weights, name), getattr(attention_only.bridge, name))


@pytest.mark.parametrize("normalization", [None, "LN"])
def test_a_question_about_one_head_or_neuron_folds_no_other_weights(
    normalization: str | None,
) -> None:
    """One click on a neuron of a 7B model made copies of the weights of all layers: 15 GB."""
    model = make_model(n_layers=12, n_heads=8, d_mlp=64, normalization=normalization)
    logits = 8 * model.d_vocab  # of one token; ids have eight bytes each
    assert logits < 4 * min(model.bridge.W_V.numel(), model.bridge.W_U.numel())
    with largest_tensor() as watch:
        ov_top_tokens(model, Head(7, 3), 9)
        ov_sample(model, Head(7, 3), ids=[9])
        promoted_tokens(model, 7, 3)
    assert 0 < max(watch.sizes) <= logits


@pytest.mark.parametrize("architecture", ["native-LN-MLP", "llama", "qwen2", "gemma2", "neox"])
def test_the_weights_of_one_head_are_its_part_of_all(architecture: str) -> None:
    model, head = tiny(architecture), Head(1, 3)
    at, weights = (head.layer, head.head), circuit_weights(model)
    for part in ("Q", "K", "V"):
        torch.testing.assert_close(weights.read(part, head), getattr(weights, f"W_{part}")[at])
    torch.testing.assert_close(weights.write(head), weights.W_O[at])
    torch.testing.assert_close(weights.bias("Q", head), weights.b_Q[at])
    torch.testing.assert_close(weights.bias("K", head), weights.b_K[at])
    writes = weights.write(head)
    torch.testing.assert_close(unembed(model, writes), writes @ weights.W_U, atol=1e-5, rtol=1e-5)


def test_folded_weights_equal_those_of_transformer_lens() -> None:
    """Compatibility mode folds in place, so it gets a model of its own; it also centres W_U."""
    ours = circuit_weights(make_model(d_mlp=64, normalization="LN"))
    theirs = make_model(d_mlp=64, normalization="LN").bridge
    theirs.enable_compatibility_mode(disable_warnings=True)
    assert ours.assumes == FOLDED
    for name in ("W_E", "W_pos", "W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K"):
        torch.testing.assert_close(
            getattr(ours, name), getattr(theirs, name), atol=1e-5, rtol=0, msg=name
        )
    centred = ours.W_U - ours.W_U.mean(1, keepdim=True)
    torch.testing.assert_close(centred, theirs.W_U, atol=1e-5, rtol=0)


def test_folding_leaves_the_model_as_it_was(with_mlp: HeadModel) -> None:
    before = {name: value.clone() for name, value in with_mlp.bridge.state_dict().items()}
    circuit_weights(with_mlp)
    for name, value in with_mlp.bridge.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_other_norms_are_refused() -> None:
    model = make_model()
    odd = HeadModel(
        type(model.info)(
            **{f.name: getattr(model.info, f.name) for f in fields(model.info)}
            | {"normalization": "LNPre"}
        ),
        model.bridge,
        model.tokenizer,
        fingerprint="rms",
    )
    with pytest.raises(AnalysisError, match="LNPre"):
        circuit_weights(odd)


# --- copying ----------------------------------------------------------------------------------


def test_an_orthogonal_embedding_with_identity_ov_copies_every_token() -> None:
    """W_E = W_U^T orthogonal and W_OV = 1 on a head of full rank: each token raises itself."""
    d = 64
    model = make_model(n_layers=1, n_heads=1, d_model=d, d_head=d)
    basis = torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(1))).Q
    hits = diagonal_hits(basis @ torch.eye(d), torch.eye(d) @ basis.T, (1,))
    assert hits.all()
    # The same through the model: 4096 tokens of unit length in 64 dimensions.
    embedding = torch.nn.functional.normalize(torch.randn(model.d_vocab, d), dim=-1)
    model.bridge.W_E.copy_(embedding)
    model.bridge.W_U.copy_(embedding.T)
    model.bridge.blocks[0].attn.W_V[0].copy_(torch.eye(d))
    model.bridge.blocks[0].attn.W_O[0].copy_(torch.eye(d))
    copied = ov_copying(model, Head(0, 0))
    assert copied.accuracy == {1: 1.0, 5: 1.0}


def test_a_head_that_writes_nothing_copies_nothing() -> None:
    """All its logits are equal: counting ties as hits would call it a perfect copier."""
    model = make_model()
    model.bridge.blocks[0].attn.W_O[0].zero_()
    assert ov_copying(model, Head(0, 0)).accuracy == {1: 0.0, 5: 0.0}


def test_copying_equals_the_dense_matrix_for_one_head_and_several(any_model: HeadModel) -> None:
    for heads in ([Head(1, 2)], [Head(0, 1), Head(1, 3), Head(1, 0)]):
        copied = ov_copying(any_model, heads, k=(1, 5, 400))
        matrix = dense_ov(any_model, *heads)
        for row, k in enumerate((1, 5, 400)):
            assert np.array_equal(copied.hits[row], dense_hits(matrix, k))


@pytest.mark.parametrize("rows, columns", [(7, 5), (64, 1000), (50, 50), (1, 3)])
def test_blocks_of_any_size_give_the_same_hits(
    monkeypatch: pytest.MonkeyPatch, rows: int, columns: int
) -> None:
    """100 does not divide by 7 or 64, so last short blocks are among the cases."""
    generator = torch.Generator().manual_seed(2)
    left = torch.randn(100, 6, generator=generator)
    right = left.T + 0.5 * torch.randn(6, 100, generator=generator)
    monkeypatch.setattr(copying, "ROWS", rows)
    monkeypatch.setattr(copying, "COLUMNS", columns)
    hits = diagonal_hits(left, right, (1, 3, 100))
    assert 0 < hits[0].sum() < hits[1].sum() < hits[2].sum() == 100
    for row, k in enumerate((1, 3, 100)):
        assert np.array_equal(hits[row], dense_hits(left @ right, k))


def test_copying_compares_along_outputs_not_along_sources() -> None:
    """Row 0 peaks on the diagonal, column 0 does not: only the row counts."""
    matrix = torch.tensor([[2.0, 1, 1], [9, 3, 0], [9, 0, 3]])
    hits = diagonal_hits(matrix, torch.eye(3), (1,))
    assert hits.tolist() == [[True, False, False]]
    assert diagonal_hits(matrix.T, torch.eye(3), (1,)).tolist() == [[False, True, True]]


def test_copying_reports_progress_and_can_be_cancelled(attention_only: HeadModel) -> None:
    seen: list[tuple[int, int]] = []
    ov_copying(attention_only, Head(0, 0), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 4096), (2048, 4096), (4096, 4096)]

    class Cancelled(Exception):
        pass

    def cancel(done: int, total: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        ov_copying(attention_only, Head(0, 0), progress=cancel)


def test_copying_refuses_what_has_no_answer(attention_only: HeadModel) -> None:
    for k in ((), (0,), (1, 4097)):
        with pytest.raises(AnalysisError, match="k is"):
            ov_copying(attention_only, Head(0, 0), k=k)
    with pytest.raises(AnalysisError, match="L2H0"):
        ov_copying(attention_only, Head(2, 0))
    with pytest.raises(AnalysisError, match="L0H4"):
        ov_copying(attention_only, [Head(0, 0), Head(0, 4)])
    with pytest.raises(AnalysisError, match="twice"):
        require_heads(attention_only.info, [Head(0, 0), Head(0, 0)])
    with pytest.raises(AnalysisError, match="No head"):
        require_heads(attention_only.info, [])


def test_the_embedding_is_raw_effective_or_the_one_that_says_something() -> None:
    mlps, bare = make_model(d_mlp=64, normalization="LN"), make_model()
    assert default_embedding(mlps) == "effective" and default_embedding(bare) == "raw"
    assert default_embedding(make_model(d_mlp=64, n_layers=1)) == "raw"
    found = {
        embedding: ov_sample(mlps, Head(1, 0), ids=[5, 9], embedding=embedding)
        for embedding in ("raw", "effective", None)
    }
    np.testing.assert_array_equal(found[None].values, found["effective"].values)
    assert np.abs(found["raw"].values - found["effective"].values).max() > 0.01
    w = circuit_weights(mlps)
    raw = w.W_E[[5, 9]] @ w.W_V[1, 0] @ w.W_O[1, 0] @ w.W_U[:, [5, 9]]
    np.testing.assert_allclose(found["raw"].values, raw, atol=1e-4)
    assert "first MLP leaves them" in found[None].assumes and "bare" in found["raw"].assumes
    # Heads of layer 0 come before the MLP, whatever is asked for.
    first = [ov_sample(mlps, Head(0, 0), ids=[5, 9], embedding=each) for each in ("raw", None)]
    np.testing.assert_array_equal(first[0].values, first[1].values)
    with pytest.raises(AnalysisError, match="no MLP"):
        ov_copying(bare, Head(1, 0), embedding="effective")


# --- K-composition circuit --------------------------------------------------------------------


def test_k_composition_circuit_answers_both_directions(any_model: HeadModel) -> None:
    """Rows are queries and columns keys; the two shares differ on a random circuit."""
    w, b = circuit_weights(any_model), any_model.bridge
    writer, reader = Head(0, 1), Head(1, 2)
    keys = normed(any_model, 0, b.W_E) @ b.W_V[0, 1] @ w.W_O[0, 1] @ w.W_K[1, 2]
    full = (normed(any_model, 1, tokens_read(any_model, 1)) @ b.W_Q[1, 2]) @ keys.T
    match = k_composition_circuit(any_model, writer, reader, k=(40,))
    assert np.array_equal(match.best_key_hits[0], dense_hits(full, 40))
    assert np.array_equal(match.best_query_hits[0], dense_hits(full.T, 40))
    assert not np.array_equal(match.best_key_hits, match.best_query_hits)
    assert match.best_key[40] == pytest.approx(match.best_key_hits.mean())
    assert match.best_query[40] == pytest.approx(match.best_query_hits.mean())


def test_k_composition_circuit_needs_an_earlier_writer(attention_only: HeadModel) -> None:
    for writer in (Head(1, 0), Head(1, 1)):
        with pytest.raises(AnalysisError, match="earlier layer"):
            k_composition_circuit(attention_only, writer, Head(1, 0))


def test_k_composition_circuit_counts_both_directions_as_progress(
    attention_only: HeadModel,
) -> None:
    seen: list[tuple[int, int]] = []
    k_composition_circuit(
        attention_only, Head(0, 0), Head(1, 0), progress=lambda *done: seen.append(done)
    )
    assert seen[0] == (0, 8192) and seen[-1] == (8192, 8192)
    assert seen == sorted(seen)


# --- OV samples and single tokens -------------------------------------------------------------


def test_ov_sample_is_a_corner_of_the_dense_circuit(any_model: HeadModel) -> None:
    heads = [Head(0, 3), Head(1, 1)]
    sample = ov_sample(any_model, heads, size=30, seed=4)
    assert len(set(sample.ids.tolist())) == 30 == len(sample.labels)
    corner = dense_ov(any_model, *heads).numpy()[np.ix_(sample.ids, sample.ids)]
    np.testing.assert_allclose(sample.values, corner, atol=1e-4)
    chosen = ov_sample(any_model, heads, ids=[5, 9, 2])
    assert chosen.ids.tolist() == [5, 9, 2]
    again = ov_sample(any_model, heads, size=30, seed=4)
    assert np.array_equal(again.ids, sample.ids)


def test_ov_sample_refuses_ids_and_sizes_out_of_range(attention_only: HeadModel) -> None:
    for ids in ([], [4096], [-1], list(range(1001))):
        with pytest.raises(AnalysisError):
            ov_sample(attention_only, Head(0, 0), ids=ids)
    with pytest.raises(AnalysisError, match="1001"):
        ov_sample(attention_only, Head(0, 0), size=1001)


def test_ov_top_tokens_are_the_extremes_of_the_tokens_row(any_model: HeadModel) -> None:
    row = dense_ov(any_model, Head(1, 0))[77]
    outputs = ov_top_tokens(any_model, Head(1, 0), 77, top=6)
    assert outputs.raised.ids.tolist() == row.topk(6).indices.tolist()
    assert outputs.lowered.ids.tolist() == row.topk(6, largest=False).indices.tolist()
    assert outputs.rank == 1 + int((row > row[77]).sum())  # no ties here
    with pytest.raises(AnalysisError, match="4096"):
        ov_top_tokens(any_model, Head(1, 0), 4096)


def test_a_head_that_writes_nothing_puts_no_token_first() -> None:
    """All outputs are equal: the token itself comes last, and the lowest ids are listed."""
    model = make_model()
    model.bridge.blocks[1].attn.W_O[2].zero_()
    outputs = ov_top_tokens(model, Head(1, 2), 77, top=4)
    assert outputs.rank == model.d_vocab
    assert outputs.raised.ids.tolist() == outputs.lowered.ids.tolist() == [0, 1, 2, 3]
    with pytest.raises(AnalysisError, match="writes nothing"):
        ov_svd(model, Head(1, 2))


# --- QK ---------------------------------------------------------------------------------------


def test_previous_token_circuit_recognises_a_perfect_head() -> None:
    """Positions are one-hot and W_QK sends position p to p - 1: every row attends one back."""
    n = 32
    model = make_model(n_layers=1, n_heads=1, d_model=n, d_head=n, n_ctx=n)
    model.bridge.W_pos.copy_(torch.eye(n))
    attention = model.bridge.blocks[0].attn
    attention.W_Q[0].copy_(torch.diag(torch.full((n - 1,), 300.0), -1))
    attention.W_K[0].copy_(torch.eye(n))
    circuit = previous_token_circuit(model, 0, 0)
    assert circuit.previous == pytest.approx(1.0)
    # A head that looks one ahead has nothing to attend to before the mask ends.
    attention.W_Q[0].copy_(torch.diag(torch.full((n - 1,), 300.0), 1))
    assert previous_token_circuit(model, 0, 0).previous < 0.1


def test_previous_token_circuit_equals_the_formula(any_model: HeadModel) -> None:
    circuit = previous_token_circuit(any_model, 1, 2)
    b = any_model.bridge
    places = normed(any_model, 1, b.W_pos)
    scores = (places @ b.W_Q[1, 2] @ b.W_K[1, 2].T @ places.T).double() / 8**0.5
    expected = np.zeros((64, 64))
    for dest in range(64):
        row = np.exp(scores[dest, : dest + 1].numpy())
        expected[dest, : dest + 1] = row / row.sum()
    np.testing.assert_allclose(circuit.values, expected, atol=1e-4)
    diagonal = np.mean([expected[dest, dest - 1] for dest in range(1, 64)])
    assert circuit.previous == pytest.approx(diagonal, abs=1e-4)


def test_the_positional_pattern_of_gelu_4l_is_that_behind_its_norm() -> None:
    """.047 without the scale of the norm, on the positions that the page draws."""
    model = analysis.load_model("gelu-4l")
    values = previous_token_circuit(model, 0, 3).values[:200, :200]
    assert np.diagonal(values, -1).mean() == pytest.approx(0.708, abs=0.005)


def test_scores_of_tokens_and_positions_have_the_models_own_scale() -> None:
    """Three times less in the third layer of a GPT-2 that divides by the layer's number."""
    plain = tiny("gpt2")
    scaled = from_config("gpt2", {**CONFIGS["gpt2"], "scale_attn_by_inverse_layer_idx": True})
    whole, third = (qk_preferences(m, Head(2, 1), 5).keys.values for m in (plain, scaled))
    np.testing.assert_allclose(third, whole / 3, rtol=1e-5)
    logs = [np.log(previous_token_circuit(m, 2, 1).values[9, [3, 7]]) for m in (plain, scaled)]
    assert logs[1][0] - logs[1][1] == pytest.approx((logs[0][0] - logs[0][1]) / 3, abs=1e-4)


def test_positions_that_only_queries_and_keys_see_have_the_circuit_too() -> None:
    """Without tokens and biases it is all that the first layer's heads go by."""
    model = make_model(positions="shortformer")
    attention = model.bridge.blocks[0].attn
    for weight in (model.bridge.W_E, attention.b_Q, attention.b_K):
        weight.zero_()
    tokens = repeated_tokens(model, length=20, batch=1)
    found = attention_patterns(model, tokens).values[0, 0, 2]
    n = tokens.length
    circuit = previous_token_circuit(model, 0, 2)
    np.testing.assert_allclose(circuit.values[:n, :n], found, atol=1e-5)


def test_rotary_models_are_refused_with_the_reason() -> None:
    model = rotary_model()
    for call in (
        lambda: previous_token_circuit(model, 0, 0),
        lambda: qk_preferences(model, Head(0, 0), 5),
    ):
        with pytest.raises(AnalysisError, match="depends on the distance"):
            call()


def test_qk_preferences_follow_rows_for_keys_and_columns_for_queries(
    any_model: HeadModel,
) -> None:
    b = any_model.bridge
    read = normed(any_model, 1, tokens_read(any_model, 1))
    full = read @ b.W_Q[1, 3] @ b.W_K[1, 3].T @ read.T / 8**0.5
    found = qk_preferences(any_model, Head(1, 3), 123, top=5)
    assert found.keys.ids.tolist() == full[123].topk(5).indices.tolist()
    assert found.queries.ids.tolist() == full[:, 123].topk(5).indices.tolist()
    np.testing.assert_allclose(found.keys.values, full[123].topk(5).values, atol=1e-4)
    assert found.keys.ids.tolist() != found.queries.ids.tolist()


# --- spectra ----------------------------------------------------------------------------------


def test_eigenvalues_equal_those_of_the_dense_matrices(any_model: HeadModel) -> None:
    found = ov_eigenvalues(any_model)
    w = circuit_weights(any_model)
    for layer, head in ((0, 0), (1, 3)):
        w_ov = (w.W_V[layer, head] @ w.W_O[layer, head]).double()
        for matrix, values, score in (
            (w_ov, found.values, found.score),
            (
                w_ov @ (w.W_U @ tokens_read(any_model, layer)).double(),
                found.vocabulary_values,
                found.vocabulary_score,
            ),
        ):
            dense = np.linalg.eigvals(matrix.numpy())
            dense = dense[np.argsort(-np.abs(dense))][: any_model.d_head]
            ours = values[layer, head]
            np.testing.assert_allclose(
                np.sort_complex(np.round(ours, 3)), np.sort_complex(np.round(dense, 3)), atol=3e-3
            )
            expected = dense.real.sum() / np.abs(dense).sum()
            assert score[layer, head] == pytest.approx(expected, abs=1e-4)


def test_eigenvalues_equal_transformer_lens_factored_matrix(attention_only: HeadModel) -> None:
    bridge = attention_only.bridge
    theirs = FactoredMatrix(bridge.W_V, bridge.W_O).eigenvalues
    expected = theirs.real.sum(-1) / theirs.abs().sum(-1)
    np.testing.assert_allclose(ov_eigenvalues(attention_only).score, expected, atol=1e-4)


def test_eigenvalue_score_is_one_for_a_copier_and_minus_one_for_an_inverter() -> None:
    model = make_model()
    attention = model.bridge.blocks[0].attn
    attention.W_O[0].copy_(attention.W_V[0].T)
    attention.W_O[1].copy_(-attention.W_V[1].T)
    attention.W_O[2].zero_()
    score = ov_eigenvalues(model).score[0]
    # Of a head that writes nothing there is no share, which is not the same as 0.
    np.testing.assert_allclose(score[:3], [1, -1, np.nan], atol=1e-5)


def test_svd_equals_the_dense_one_and_its_tokens(any_model: HeadModel) -> None:
    w = circuit_weights(any_model)
    u, s, v_t = torch.linalg.svd(w.W_V[0, 2] @ w.W_O[0, 2])
    found = ov_svd(any_model, Head(0, 2), n=3, top=7)
    np.testing.assert_allclose(found.singular_values, s[:8], atol=1e-4)
    assert len(found.directions) == 3
    for i, direction in enumerate(found.directions):
        read, written = w.W_E @ u[:, i], v_t[i] @ w.W_U
        sign = torch.sign(read[read.abs().argmax()])
        np.testing.assert_allclose(direction.read.values, (sign * read).topk(7).values, atol=1e-4)
        assert direction.read.ids.tolist() == (sign * read).topk(7).indices.tolist()
        assert direction.written.ids.tolist() == (sign * written).topk(7).indices.tolist()
        assert direction.opposite_read.ids.tolist() == (-sign * read).topk(7).indices.tolist()
        assert direction.opposite_written.ids.tolist() == (-sign * written).topk(7).indices.tolist()
    for n in (0, 9):
        with pytest.raises(AnalysisError, match="1 to 8"):
            ov_svd(any_model, Head(0, 2), n=n)


def test_factored_facts_count_what_the_matrices_hold(attention_only: HeadModel) -> None:
    facts = factored_matrix_facts(attention_only)
    w = circuit_weights(attention_only)
    left, right = w.W_E @ w.W_V[0, 0], w.W_O[0, 0] @ w.W_U
    assert facts.factored_bytes == left.nbytes + right.nbytes
    assert facts.full_bytes == (left @ right).nbytes
    assert facts.factored_flops == 2 * (4096 * 32 * 8 + 8 * 32 * 4096)
    assert facts.full_flops == 2 * (32 * 8 * 32 + 4096 * 32 * 32 + 4096 * 32 * 4096)
    assert facts.row_flops == 2 * 8 * 4096


def test_timing_compares_equal_results(any_model: HeadModel) -> None:
    timing = time_factored(any_model, Head(0, 0), rows=8, repeats=2)
    assert timing.difference < 1e-4
    assert timing.full_seconds > 0 and timing.factored_seconds > 0
    for rows, repeats in ((0, 1), (4097, 1), (1, 0), (1, 21)):
        with pytest.raises(AnalysisError, match="repeats"):
            time_factored(any_model, Head(0, 0), rows, repeats)


# --- results ----------------------------------------------------------------------------------


def test_results_are_read_only(attention_only: HeadModel) -> None:
    """One result is shared by every visitor."""
    copied = ov_copying(attention_only, Head(0, 0))
    with pytest.raises(ValueError, match="read-only"):
        copied.hits[0, 0] = True
    eigenvalues = ov_eigenvalues(attention_only)
    with pytest.raises(ValueError, match="read-only"):
        eigenvalues.score[0, 0] = 0


def test_every_public_name_resolves() -> None:
    for name in analysis.__all__:
        assert getattr(analysis, name) is not None
