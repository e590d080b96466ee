"""The name of a head, as it is written on axes, in tables and in links."""

import pytest

from analysis.head import Head


def test_a_label_names_layer_then_head():
    assert Head(5, 1).label == "L5H1"


@pytest.mark.parametrize("head", [Head(0, 0), Head(1, 10), Head(11, 3)])
def test_a_label_reads_back_as_the_same_head(head):
    assert Head.parse(head.label) == head


@pytest.mark.parametrize(
    "label", ["", "L1", "5.1", "l0h0", "L0H0 ", "\nL0H0", "L0H0\n", "L-1H0", "L0H1H2", "L0H99999"]
)
def test_anything_else_is_no_head(label):
    """Labels come from links: a wrong one must be refused, not half read."""
    with pytest.raises(ValueError, match="not a head label"):
        Head.parse(label)


@pytest.mark.parametrize(("layer", "head"), [(-1, 0), (0, -1)])
def test_a_head_is_never_negative(layer, head):
    """A negative index would silently count from the end and show another head."""
    with pytest.raises(ValueError, match="must not be negative"):
        Head(layer, head)


def test_heads_sort_by_layer_then_head():
    assert sorted([Head(1, 0), Head(0, 10), Head(0, 2)]) == [Head(0, 2), Head(0, 10), Head(1, 0)]
