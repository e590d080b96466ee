"""Circuits by hand, against every run written out by itself."""

from collections.abc import Callable, Collection, Sequence

import numpy as np
import pytest
import torch

from analysis.effects.circuit import (
    HeadCircuit,
    Wire,
    circuit_of,
    circuits_text,
    fitted_circuit,
    parse_circuit,
    parse_circuits,
)
from analysis.effects.circuit_score import CircuitScore, circuit_metrics, circuit_score
from analysis.effects.edges import Edge, RankedEdges, Reader
from analysis.effects.set_edges import found_circuit, set_edges
from analysis.errors import AnalysisError
from analysis.head import Head, all_heads
from analysis.models.loading import HeadModel
from analysis.sets.fitted import FittedSet, fit_set
from analysis.sets.rows import PromptRow, PromptSet
from tests.architectures import plain, tiny
from tests.conftest import make_model, state_dict

ROWS = PromptSet(
    "rows",
    tuple(
        PromptRow(text, answer=answer, foil=foil)
        for text, answer, foil in (
            ("he said to the", "him", "her"),
            ("she came to the", "a", "him"),
            ("he came to a", "the", "her"),
        )
    ),
)
HEADS = (Head(0, 1), Head(0, 2), Head(1, 0), Head(2, 1))
WIRES = (
    Wire(Head(0, 1), 1, 0, "q"),
    Wire(Head(0, 2), 1, 0, "v"),
    Wire(Head(0, 2), 2, 1, "k"),
    Wire(Head(1, 0), 2, 1, "v"),
    Wire(Head(1, 0), -1, -1, "logits"),
    Wire(Head(2, 1), -1, -1, "logits"),
)
# By a circuit, F(circuit).
F = Callable[[HeadCircuit], float]


@pytest.fixture(scope="module")
def model() -> HeadModel:
    """3 layers of 3 heads, attention alone."""
    return make_model(n_layers=3, n_heads=3)


@pytest.fixture(scope="module")
def fitted(model: HeadModel) -> FittedSet:
    found = fit_set(model, ROWS)
    assert len(found.batches) == 1  # one length, so that a mean is taken position by position
    return found


def by_edges(model: HeadModel, fitted: FittedSet, method: str) -> F:
    """F written from the definition: every head reads a stream of its own, edge by edge."""
    weights = {name: value.double().numpy() for name, value in state_dict(model).items()}
    ids = fitted.batches[0].tokens.ids
    start = weights["embed.W_E"][ids] + weights["pos_embed.W_pos"][: ids.shape[1]]
    later = np.triu(np.ones((ids.shape[1], ids.shape[1]), bool), 1)

    def part(name: str, layer: int) -> np.ndarray:
        return weights[f"blocks.{layer}.attn.{name}"]

    def run(circuit: HeadCircuit | None, usual: dict[Head, np.ndarray]) -> tuple[float, dict]:
        z: dict[Head, np.ndarray] = {}  # as a head writes it

        def stream(layer: int, reads: Callable[[Head], bool]) -> np.ndarray:
            total = start + sum(part("b_O", below) for below in range(layer))
            for head in (h for h in all_heads(model.info) if h.layer < layer):
                out = circuit is not None and head not in circuit.heads
                taken = z[head] if not out and reads(head) else usual[head]
                total = total + taken @ part("W_O", head.layer)[head.head]
            return total

        def kept(layer: int, head: int, each: str) -> Callable[[Head], bool]:
            if circuit is None or circuit.wires is None:
                return lambda writer: True
            return lambda writer: Wire(writer, layer, head, each) in circuit.wires

        for head in all_heads(model.info):
            own = {}
            for each in "qkv":
                read = stream(head.layer, kept(head.layer, head.head, each))
                matrix, bias = (part(f"{kind}_{each.upper()}", head.layer) for kind in "Wb")
                own[each] = read @ matrix[head.head] + bias.reshape(model.n_heads, -1)[head.head]
            scores = own["q"] @ own["k"].swapaxes(1, 2) / np.sqrt(model.d_head)
            shares = np.exp(np.where(later, -np.inf, scores))
            z[head] = shares / shares.sum(-1, keepdims=True) @ own["v"]
        end = stream(model.n_layers, kept(-1, -1, "logits"))[:, -1]
        logits = end @ weights["unembed.W_U"] + weights["unembed.b_U"]
        rows = range(len(ids))
        batch = fitted.batches[0]
        return float((logits[rows, batch.answers] - logits[rows, batch.foils]).mean()), z

    _, as_it_is = run(None, {})
    usual = {
        head: np.zeros_like(z) if method == "zero" else np.broadcast_to(z.mean(0), z.shape)
        for head, z in as_it_is.items()
    }
    return lambda circuit: run(circuit, usual)[0]


def without(circuit: HeadCircuit, heads: Collection[Head]) -> HeadCircuit:
    kept = [head for head in circuit.heads if head not in heads]
    if circuit.wires is None:
        return circuit_of(kept)
    return circuit_of(kept, [wire for wire in circuit.wires if wire.writer not in heads])


def check(found: CircuitScore, model: HeadModel, f: F) -> None:
    """Every number of a score, by runs of its own."""
    whole, own = circuit_of(all_heads(model.info)), found.circuit
    near = {"abs": 2e-4}
    assert found.whole == pytest.approx(f(whole), **near)
    assert found.empty == pytest.approx(f(circuit_of(())), **near)
    assert found.faithfulness == pytest.approx(f(own), **near)
    removed = found.removed
    assert all(set(k) <= set(own.heads) and k for k in removed)
    assert len(set(removed)) == len(removed)
    of_whole, of_own = ([f(without(c, k)) for k in removed] for c in (whole, own))
    assert found.whole_without == pytest.approx(np.array(of_whole), **near)
    assert found.circuit_without == pytest.approx(np.array(of_own), **near)
    gaps = [abs(a - b) for a, b in zip(of_whole, of_own, strict=True)]
    assert found.completeness == pytest.approx(np.mean(gaps), **near)
    assert found.minimality == pytest.approx(
        {head: f(own) - f(without(own, [head])) for head in own.heads}, **near
    )
    assert max(abs(need) for need in found.minimality.values()) > 0.01


@pytest.mark.parametrize("wires", [None, WIRES], ids=["heads", "edges"])
@pytest.mark.parametrize("method", ["zero", "mean"])
def test_every_number_is_that_of_brute_force(
    model: HeadModel, fitted: FittedSet, wires: Sequence[Wire] | None, method: str
) -> None:
    f = by_edges(model, fitted, method)
    own, whole = circuit_of(HEADS, wires), circuit_of(all_heads(model.info))
    found = circuit_score(model, fitted, own, method, draws=5)
    check(found, model, f)
    for wire in wires or ():
        fewer = circuit_of(HEADS, [other for other in wires or () if other != wire])
        assert found.of_wires[wire] == pytest.approx(f(own) - f(fewer), abs=2e-4)
    assert bool(found.of_wires) == bool(wires)
    assert found.random is not None
    assert len(found.random.circuits) == len(found.random.faithfulness) == 5
    random = found.random
    for other, value in zip(random.circuits, random.faithfulness, strict=True):
        assert [h.layer for h in other.heads] == [h.layer for h in HEADS]
        assert len(other.wires or ()) == len(wires or ())
        assert value == pytest.approx(f(other), abs=2e-4)
    assert own not in random.circuits
    numbers = (random.whole_without, random.circuit_without, random.single, random.need)
    drawn = zip(random.circuits, random.removed, *numbers, strict=True)
    for other, k, of_whole, of_random, single, need in drawn:
        assert set(k) <= set(other.heads)
        assert of_whole == pytest.approx(f(without(whole, k)), abs=2e-4)
        assert of_random == pytest.approx(f(without(other, k)), abs=2e-4)
        assert need == pytest.approx(f(other) - f(without(other, [single])), abs=2e-4)


def test_shared_keys_are_those_that_transformers_has() -> None:
    """On a model with MLPs, rotary positions and shared keys, by hooks in transformers alone."""
    model, own = tiny("llama"), plain("llama")
    fitted = fit_set(model, ROWS)

    def f(circuit: HeadCircuit) -> float:
        def silence(layer: int) -> Callable:
            out = [h for h in range(model.n_heads) if Head(layer, h) not in circuit.heads]

            def hook(module: torch.nn.Module, given: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
                z = given[0].clone().unflatten(-1, (model.n_heads, -1))
                z[:, :, out] = 0
                return (z.flatten(-2),)

            return hook

        blocks = enumerate(own.model.layers)
        hooks = [b.self_attn.o_proj.register_forward_pre_hook(silence(i)) for i, b in blocks]
        values = []
        for batch in fitted.batches:
            with torch.no_grad():
                logits = own(torch.tensor(batch.tokens.ids.tolist())).logits[:, -1].numpy()
            rows = range(len(logits))
            values += (logits[rows, batch.answers] - logits[rows, batch.foils]).tolist()
        for hook in hooks:
            hook.remove()
        return float(np.mean(values))

    check(circuit_score(model, fitted, HEADS, "zero", draws=2), model, f)
    every = circuit_of(all_heads(model.info))
    wires = [
        Wire(writer, layer, head, each)
        for writer in every.heads
        for layer in range(writer.layer + 1, 3)
        for each, heads in (("q", model.n_heads), ("k", 2), ("v", 2))
        for head in range(heads)
    ] + [Wire(writer, -1, -1, "logits") for writer in every.heads]
    shared = next(wire for wire in wires if wire.input == "k")
    assert shared.readers(model.info) == (Head(1, 0), Head(1, 1))
    circuits = [every, circuit_of(every.heads, wires), circuit_of(every.heads, [])]
    values = circuit_metrics(model, fitted, circuits, "zero").mean(1)
    assert values[1] == pytest.approx(values[0], abs=1e-4)  # with all edges it is the model
    assert abs(values[2] - values[0]) > 0.01


def test_edges_over_a_set_say_what_a_circuit_is_worth(bundled: HeadModel) -> None:
    """The induction circuit is found on repeated words, and does more than random ones."""
    words = ["sea", "house", "girl", "father", "night", "king", "horse", "river", "door", "hand"]
    rows = [
        PromptRow(f"{a} {b} {c} {d} {a} {b} {c}", answer=f" {d}", foil=f" {a}")
        for a, b, c, d in (tuple(np.roll(words, shift)[:4]) for shift in range(10))
    ]
    fitted = fit_set(bundled, PromptSet("repeats", tuple(rows)))
    ranked = set_edges(bundled, fitted, "zero")
    found = found_circuit(ranked, 5)
    assert Head(0, 0) in found.heads
    assert len(found.heads) <= 5
    score = circuit_score(bundled, fitted, found, "zero")
    assert score.random is not None
    assert score.recovered > 0.5
    assert score.faithfulness > score.random.faithfulness.max()
    assert len(ranked.edges) == 208


def test_a_found_circuit_has_at_most_so_many_heads_and_edges() -> None:
    logits = Reader(-1, -1, "logits")
    edges = tuple(
        Edge(Head(layer, head), logits, 10.0 - 4 * layer - head)
        for layer in range(2)
        for head in range(4)
    )
    ranked = RankedEdges(edges)
    for most in range(9):
        assert found_circuit(ranked, most).heads == tuple(edge.writer for edge in edges[:most])
    two = found_circuit(ranked, 8, 2)
    assert two.text == "L0H0,L0H1_L0H0-logits,L0H1-logits"


def test_a_circuit_is_read_as_it_is_written() -> None:
    text = "L0H1,L0H2,L1H0,L2H1_L0H1-L1Q0,L0H2-L2K1,L2H1-logits"
    assert parse_circuit(text).text == text
    assert parse_circuit("L1H4,L0H1,L1H4").text == "L0H1,L1H4"
    assert parse_circuit("L0H1_").wires == ()
    both = parse_circuits(f"{text};L0H1")
    assert circuits_text(both) == f"{text};L0H1"
    for bad in ("L0", "L0H1_L1H1-logits", "L0H1_L0H1-L1X0", "L0H1__", "L0H1_L0H1-L1K"):
        with pytest.raises(AnalysisError):
            parse_circuit(bad)
    with pytest.raises(AnalysisError, match="At most 4"):
        parse_circuits(";".join(f"L0H{i}" for i in range(5)))
    many = ",".join(f"L0H{i}" for i in range(41))
    with pytest.raises(AnalysisError, match="at most 40 heads"):
        parse_circuit(many)


def test_what_a_model_does_not_have_is_left_out_or_refused(
    model: HeadModel, fitted: FittedSet
) -> None:
    wires = (*WIRES, Wire(Head(2, 1), 1, 0, "k"))  # downwards
    assert fitted_circuit(circuit_of((*HEADS, Head(9, 0)), wires), model.info) == HeadCircuit(
        HEADS, circuit_of(HEADS, WIRES).wires
    )
    with pytest.raises(AnalysisError, match="does not have all heads and edges"):
        circuit_metrics(model, fitted, [circuit_of(HEADS, wires)])
    with pytest.raises(AnalysisError, match="L9H0"):
        circuit_score(model, fitted, (Head(9, 0),))
    with pytest.raises(AnalysisError, match="No head"):
        circuit_score(model, fitted, ())


def test_what_was_not_run_is_not_a_number(model: HeadModel, fitted: FittedSet) -> None:
    light = circuit_score(model, fitted, HEADS, draws=0, removals=0, parts_alone=False)
    assert light.faithfulness == circuit_score(model, fitted, HEADS).faithfulness
    assert np.isnan([light.completeness, *light.minimality.values()]).all()
    assert light.random is None
    assert tuple(light.minimality) == HEADS


def test_where_all_heads_are_in_it_there_is_no_random_circuit(
    model: HeadModel, fitted: FittedSet
) -> None:
    found = circuit_score(model, fitted, all_heads(model.info))
    assert found.random is None
    assert found.faithfulness == pytest.approx(found.whole)
    assert found.completeness == pytest.approx(0, abs=1e-5)
