"""What a click on a figure or a table reports: whole numbers that fit, or nothing."""

from typing import Any

import pytest

from analysis.models.catalog import list_models
from app.frame import clicks
from app.links.selection import Selection


def event(*customdata: Any) -> dict[str, Any]:
    return {"selection": {"points": [{"customdata": data} for data in customdata]}}


def test_a_point_carries_whole_numbers_as_a_list_or_as_plotly_s_bytes() -> None:
    assert clicks._clicked_numbers(event([1, 4])) == [1, 4]
    assert clicks._clicked_numbers(event({"0": 1.0, "1": 4.0})) == [1, 4]
    assert clicks._clicked_numbers(event()) == []


@pytest.mark.parametrize(
    "data",
    [None, "12", "<script>", ["1", "4"], [None], {"0": "x"}, 7, [[1, 4]], [float("nan")], {}],
)
def test_a_point_that_carries_anything_else_is_no_click(data: Any) -> None:
    assert clicks._clicked_numbers(event(data)) == []


@pytest.mark.parametrize("data", [[0], [0, 0, 0], [-1, 0], [0, 10**9], [99, 0], [1e308, 0]])
def test_a_head_that_the_model_lacks_is_not_opened(
    data: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []
    monkeypatch.setattr(clicks, "go_to_head", lambda selection, head: opened.append(head.label))
    view = Selection("finder", {}, list_models()[0])
    clicks._open_clicked(view, event(data))
    assert opened == []
    clicks._open_clicked(view, event([1, 4]))
    assert opened == ["L1H4"]


@pytest.mark.parametrize("rows", [[], [-1], [3], ["0"], [None], [1e9]])
def test_a_row_that_the_table_lacks_is_not_ticked(rows: list[Any]) -> None:
    assert clicks._clicked_row({"selection": {"rows": rows}}, 3) is None
    assert clicks._clicked_row({"selection": {"rows": [2]}}, 3) == 2
