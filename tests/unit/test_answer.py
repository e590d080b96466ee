"""What an answer loses without a head, against a model written out without hooks."""

import numpy as np
import pytest

from analysis.effects.answer import answer_ablation
from analysis.errors import AnalysisError
from analysis.head import Head, all_heads
from analysis.runs.inputs import repeated_tokens, tokenize
from app.figures.arcs import Arc, text_arcs
from app.theme import DARK, LIGHT
from tests.hostile import HOSTILE
from tests.unit.test_ablation import TEXT, plain_logits


@pytest.mark.parametrize("foil", [None, 11])
def test_every_head_equals_the_model_without_it(attention_only, foil):
    tokens = tokenize(attention_only, TEXT)
    dest, answer = 4, 7
    found = answer_ablation(
        attention_only, tokens, all_heads(attention_only.info), dest, answer, foil
    )

    def metric(ablated=None):
        logits = plain_logits(attention_only, tokens, ablated)[0, dest].numpy()
        return logits[answer] - (0 if foil is None else logits[foil])

    assert found.clean == pytest.approx(metric(), abs=1e-5)
    expected = [metric((head.layer, head.head)) - metric() for head in found.heads]
    np.testing.assert_allclose(found.changes, expected, atol=1e-5)
    assert np.abs(found.changes).max() > 1e-3


def test_what_there_is_not_is_refused(attention_only):
    tokens, one = tokenize(attention_only, TEXT), [Head(0, 0)]
    for heads, dest, answer, foil, said in (
        ([], 0, 1, None, "head"),
        ([Head(9, 0)], 0, 1, None, "L9H0"),
        (one, tokens.length, 1, None, "There is no position"),
        (one, 0, attention_only.d_vocab, None, "is no id"),
        (one, 0, 1, -1, "is no id"),
    ):
        with pytest.raises(AnalysisError, match=said):
            answer_ablation(attention_only, tokens, heads, dest, answer, foil)
    several = repeated_tokens(attention_only, length=4, batch=2)
    with pytest.raises(AnalysisError, match="2 sequences"):
        answer_ablation(attention_only, several, one, 0, 1)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_an_arc_leads_from_its_source_to_its_destination_and_carries_its_head(palette):
    arcs = [Arc(Head(1, 4), 1, 5, 2.0), Arc(Head(1, 1), 1, 5, -1.0), Arc(Head(0, 0), 5, 5, 0.5)]
    figure = text_arcs(arcs, ["a", "b", "c", "d", "e", "f", "g"], 5, palette)
    *lines, heads, tokens = figure.data
    assert [(line.x[0], line.x[-1]) for line in lines[:2]] == [(1, 5), (1, 5)]
    assert lines[0].line.width > lines[1].line.width
    assert lines[0].line.color != lines[1].line.color
    assert [list(numbers) for numbers in heads.customdata] == [[1, 4], [1, 1], [0, 0]]
    assert len(set(zip(heads.x, heads.y, strict=True))) == 3  # none lies over another
    # A token carries the position that it is said after; the one asked about stands out.
    assert [list(numbers) for numbers in tokens.customdata] == [[i] for i in range(6)]
    assert tokens.marker.color.index(palette.accent) == 5
    assert "reads 1 “b”<br>+2.00 logits" in heads.hovertext[0]


def test_hostile_tokens_stay_text():
    figure = text_arcs([Arc(Head(0, 0), 0, 1, 1.0)], HOSTILE, 1, LIGHT)
    assert "<script" not in figure.to_json() and "<img" not in figure.to_json()
