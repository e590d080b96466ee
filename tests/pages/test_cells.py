"""What is asked of single cells: who attends from here to there, and who attends elsewhere."""

import re
from urllib.parse import urlsplit

import numpy as np
import pytest

from analysis.models.loading import load_model
from analysis.runs.inputs import tokenize
from tests.pages.test_pages import (
    Open,
    address,
    expect_well,
    head_tables,
    open_at,
    said,
    text_of,
)

__all__ = ["open_at"]

TEXT = "The cat sat on the mat. The cat sat on the dog."
OTHER = "The cat sat on the mat. The dog sat on the cat."


def patterns(text: str) -> np.ndarray:
    """By layer and head, from TransformerLens's cache."""
    model = load_model("attn-only-2l")
    _, cache = model.bridge.run_with_cache(tokenize(model, text).tensor)
    found = [cache[f"blocks.{layer}.attn.hook_pattern"][0] for layer in range(2)]
    return np.stack([layer.detach().numpy() for layer in found])


def ranking(app, column: str) -> dict[str, float]:  # noqa: ANN001
    """The table that ranks every head by a column, in its order."""
    found = []
    for page in head_tables(app):
        names = re.findall('<th scope="col">([^<]*)</th>', page)
        if column in names:
            rows = re.findall(r">(L\d+H\d+)</a></th>(.*?)</tr>", page)
            cells = {head: re.findall(r"([^<>]*)</td>", row) for head, row in rows}
            at = names.index(column) - 1
            found.append({head: float(values[at]) for head, values in cells.items()})
    for table in [each.value for each in app.main.dataframe if column in each.value]:
        heads = [urlsplit(link).fragment for link in table["Head"]]
        found.append(dict(zip(heads, table[column], strict=True)))
    (one,) = found
    return one


def test_a_cell_ranks_every_head_by_its_attention_there(open_at: Open) -> None:
    app = open_at("attention", prompt=TEXT, dest="9", src="3")
    expect_well(app)
    found = ranking(app, "Attention")
    every = patterns(TEXT)
    assert found == pytest.approx(
        {f"L{i}H{h}": every[i, h, 9, 3] for i in range(2) for h in range(8)}, abs=6e-4
    )
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert [text for text in app.caption if "evenly it would be 0.100" in text_of(text.value)]
    app.selectbox(key="view.dest").set_value(5).run()
    expect_well(app)
    assert address(app)["dest"] == "5"
    assert ranking(app, "Attention") == pytest.approx(
        {f"L{i}H{h}": every[i, h, 5, 3] for i in range(2) for h in range(8)}, abs=6e-4
    )
    # A locked token is where the question begins.
    locked = open_at("attention", prompt=TEXT, at="8")
    assert locked.selectbox(key="view.dest").value == 8


def test_two_prompts_rank_heads_by_what_changed(open_at: Open) -> None:
    app = open_at("compare", by="prompt", input="prompt", prompt=TEXT, prompt2=OTHER)
    expect_well(app)
    one, other = patterns(TEXT), patterns(OTHER)
    moved = np.abs(one - other)[:, :, 1:].sum(-1).mean(-1) / 2
    found = ranking(app, "Change")
    assert found == pytest.approx(
        {f"L{i}H{h}": moved[i, h] for i in range(2) for h in range(8)}, abs=1e-5
    )
    assert list(found.values()) == sorted(found.values(), reverse=True)
    longer = open_at("compare", by="prompt", input="prompt", prompt=TEXT, prompt2=f"{OTHER} So.")
    expect_well(longer)
    assert said(longer) == []
    lengths = [patterns(text).shape[-1] for text in (TEXT, f"{OTHER} So.")]
    sentence = f"first {lengths[0]} places, of {lengths[0]} and {lengths[1]}"
    assert [text for text in longer.caption if sentence in text_of(text.value)]
