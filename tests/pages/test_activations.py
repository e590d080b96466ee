"""The pages of activations and of neurons, and every page on the model with LayerNorm and MLPs."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from analysis.models import catalog
from analysis.models.catalog import BUNDLED
from app.compute import calls
from app.links.selection import Selection
from tests.hostile import HOSTILE
from tests.hub import tiny_llama
from tests.pages.test_pages import (
    ANALYSIS_PAGES,
    Open,
    address,
    charts,
    expect_well,
    head_tables,
    open_at,
    said,
    text_of,
)

__all__ = ["open_at"]  # a fixture
GELU = "gelu-4l"


def titles(app) -> list[str]:  # noqa: ANN001
    return [text_of(heading.value) for heading in app.subheader]


def captions(app) -> str:  # noqa: ANN001
    return text_of("\n".join(caption.value for caption in app.caption))


def test_the_default_is_the_pattern_of_the_previous_token_head(open_at: Open) -> None:
    app = open_at("activations")
    assert "pattern · layer 0 · head 0" in titles(app)
    assert app.selectbox(key="view.point").value == "pattern"
    assert address(app) == {}


@pytest.mark.parametrize(
    ("point", "title", "caption"),
    [
        (
            "q",
            "q · layer 1 · head 2",
            "blocks.1.attn.hook_q: batch 1 x pos 48 x head 8 x d_head 32",
        ),
        (
            "attn_scores",
            "attn_scores · layer 1 · head 2",
            "blocks.1.attn.hook_attn_scores: batch 1 x head 8 x dest 48 x src 48",
        ),
        ("resid_pre", "resid_pre · layer 1", "batch 1 x pos 48 x d_model 256"),
        ("embed", "embed", "hook_embed: batch 1 x pos 48 x d_model 256"),
        ("logits", "logits", "Drawn: tokens 0 to 255 of 4,096."),
    ],
)
def test_an_activation_of_any_shape_is_drawn(
    open_at: Open, point: str, title: str, caption: str
) -> None:
    app = open_at("activations", point=point, layer="1", head="2")
    expect_well(app)
    assert said(app) == []
    assert title in titles(app)
    assert caption in captions(app)
    assert charts(app) == 3
    assert address(app) == {"point": point, "layer": "1", "head": "2"}


@pytest.mark.parametrize("point", ["scale1", "resid_mid", "post", "normalized"])
def test_what_norms_and_mlps_compute_is_drawn_where_they_are(open_at: Open, point: str) -> None:
    app = open_at("activations", model=GELU, point=point, layer="2")
    expect_well(app)
    assert said(app) == []
    assert charts(app) == 3
    app = open_at("activations", point=point)
    expect_well(app)
    assert [text for text in said(app) if f"no activation “{point}”" in text]


def test_the_logits_can_be_paged_through(open_at: Open) -> None:
    app = open_at("activations", point="logits", feature="4000")
    assert "Drawn: tokens 4,000 to 4,095 of 4,096." in captions(app)


def test_an_unknown_activation_is_said_and_is_text(open_at: Open) -> None:
    app = open_at("activations", point=HOSTILE[0][:20])
    expect_well(app)
    assert [text for text in said(app) if "no activation “</script><script>win”" in text]


def test_one_activation_is_fetched_and_no_cache_is_kept(
    open_at: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []
    activation = calls.activation

    def record(selection: Selection, sequence: int, name: str) -> object:
        fetched.append(name)
        return activation(selection, sequence, name)

    monkeypatch.setattr(calls, "activation", record)
    open_at("activations", point="z", layer="1")
    assert fetched == ["blocks.1.attn.hook_z"]


@pytest.mark.parametrize("model", ["attn-only-2l", GELU])
def test_the_pattern_worked_out_by_hand_is_the_cached_one(open_at: Open, model: str) -> None:
    app = open_at("activations", model=model, layer="1", head="5")
    shown = {metric.label: metric.value for metric in app.metric}
    assert set(shown) == {
        "Largest difference, L1H5",
        "Largest difference, all heads of layer 1",
    }
    for value in shown.values():
        assert float(value.removesuffix(", exactly").removeprefix("< ")) < 1e-5


def test_the_lists_are_filtered_by_layer_and_text(open_at: Open) -> None:
    app = open_at("activations", list="parameters", within="1", find="w_o")
    table = app.main.dataframe[-1].value
    assert list(table["Short name"]) == ["W_O[1]"]
    assert table["Shape"][0] == "8, 32, 256"
    app = open_at("activations", within="0", find="resid")
    assert list(app.main.dataframe[-1].value["Name"]) == [
        "blocks.0.hook_resid_pre",
        "blocks.0.hook_resid_post",
    ]
    app = open_at("activations", find="<b>no such thing")
    expect_well(app)
    assert "Nothing of that name" in captions(app)


def test_a_model_without_mlps_says_so_and_offers_one_that_has_them(open_at: Open) -> None:
    app = open_at("neurons", prompt="The cat sat on the mat")
    expect_well(app)
    assert said(app) == []
    assert "Attention-only, 2 layers has no neurons" in titles(app)
    without_links = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", captions(app))
    assert "attn-only-2l has attention only: no MLPs, so no neurons." in without_links
    (offered,) = [button for button in app.button if "GELU" in button.label]
    offered.click().run()
    expect_well(app)
    assert address(app) == {"model": GELU, "prompt": "The cat sat on the mat"}
    assert "Strongest neurons on this text" in titles(app)


def test_the_strongest_neuron_of_the_text_is_the_default(open_at: Open) -> None:
    app = open_at("neurons", model=GELU)
    expect_well(app)
    assert said(app) == []
    table = app.main.dataframe[0].value
    assert (np.diff(table["Activation"]) <= 0).all()
    assert f"What {table['Neuron'][0]} says" in titles(app)
    assert charts(app) == 1
    assert len(app.get("iframe")) == 2
    assert address(app) == {"model": GELU}


def test_a_neuron_of_the_link_is_shown(open_at: Open) -> None:
    app = open_at("neurons", model=GELU, layer="1", neuron="17")
    assert "Where L1N17 fires" in titles(app)
    promoted, suppressed = (app.main.dataframe[i].value for i in (1, 2))
    assert (promoted["Logits"] > 0).all()
    assert (suppressed["Logits"] < 0).all()
    app.number_input(key="view.neuron").set_value(18).run()
    assert address(app) == {"model": GELU, "layer": "1", "neuron": "18"}


def test_a_neuron_that_the_layer_lacks_is_said(open_at: Open) -> None:
    app = open_at("neurons", model=GELU, neuron="768")
    expect_well(app)
    assert [text for text in said(app) if "no neuron 768 (they run from 0 to 767)" in text]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_goes_through_neurons(open_at: Open, text: str) -> None:
    app = open_at("neurons", model=GELU, prompt=text)
    expect_well(app)


@pytest.mark.parametrize("name", ANALYSIS_PAGES)
def test_every_page_works_on_the_model_with_norms_and_mlps(open_at: Open, name: str) -> None:
    app = open_at(name, model=GELU, input="repeated", length="10", batch="2")
    expect_well(app)
    assert said(app) == []
    assert charts(app) or app.main.dataframe or head_tables(app)
    assert ("scale is frozen" in captions(app)) == (name in ("attribution", "head"))


def test_without_a_norm_no_frozen_scale_is_said(open_at: Open) -> None:
    assert "scale is frozen" not in captions(open_at("attribution"))


def test_the_models_are_compared(open_at: Open) -> None:
    app = open_at("compare", by="model", layer="1", head="7")
    expect_well(app)
    assert said(app) == []
    assert "L1H7 of Attention-only, 2 layers beside L3H1 of GELU, 4 layers" in titles(app)


def test_another_model_keeps_the_input(open_at: Open) -> None:
    app = open_at("tokens", prompt="Mr. Darcy met Mr. Bingley.", input="prompt")
    app.selectbox(key="view.model").set_value(GELU).run()
    expect_well(app)
    assert app.text_area(key="view.prompt").value == "Mr. Darcy met Mr. Bingley."
    assert address(app) == {"model": GELU, "prompt": "Mr. Darcy met Mr. Bingley."}


def test_heads_that_share_keys_show_the_ones_they_read(
    open_at: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are keys 0 and 1 only; head 3 reads the second, and no positions are in the stream."""
    (tmp_path / "shared").mkdir()
    for name, content in tiny_llama().items():
        (tmp_path / "shared" / name).write_bytes(content)
    monkeypatch.setenv("HEADSCOPE_MODELS", str(tmp_path))
    catalog.refresh()
    app = open_at("activations", model="shared", point="k", layer="1", head="3", list="parameters")
    monkeypatch.undo()
    catalog.refresh()
    expect_well(app)
    assert "k · layer 1 · head 3" in titles(app)
    assert "kv_head 2 x d_head 8. Head 3 reads number 1 of them." in captions(app).replace("\\", "")
    # Queries and keys are turned by their positions before the pattern is worked out by hand.
    assert said(app) == []
    shown = {metric.label: metric.value for metric in app.metric}
    difference = shown["Largest difference, all heads of layer 1"]
    assert float(difference.removesuffix(", exactly").removeprefix("< ")) < 1e-5
    table = app.main.dataframe[-1].value.set_index("Short name")
    assert table.loc["W_K[1]", "Shape"] == "2, 32, 8"
    assert "W_pos" not in table.index
    assert "pos_embed" not in app.selectbox(key="view.point").options


@pytest.mark.parametrize("name", ["W_Q", "W_K", "W_V", "W_O"])
def test_the_weight_of_one_head_is_the_files(open_at: Open, name: str) -> None:
    """Of the bundled file, by its own names; the page draws the stream's dimensions across."""
    app = open_at("activations", layer="1", head="3", weight=name)
    expect_well(app)
    assert "Weights of L1H3" in titles(app)
    file = load_file(BUNDLED / "attn-only-2l" / "model.safetensors")
    stored = file[f"blocks.1.attn.{name[-1].lower()}.weight"].float().numpy()
    # A linear layer holds its weight turned round, [out, in]: heads are rows but in W_O.
    of_head = stored[:, 96:128].T if name == "W_O" else stored[96:128]
    figure = json.loads(app.get("plotly_chart")[-1].proto.spec)["data"][0]["z"]
    shape = [int(size) for size in figure["shape"].split(",")]
    drawn = np.frombuffer(base64.b64decode(figure["bdata"]), np.dtype(figure["dtype"]))
    np.testing.assert_allclose(drawn.reshape(shape), of_head, atol=1e-6)
    sizes = "d_head 32 x d_model 256" if name == "W_O" else "d_model 256 x d_head 32"
    assert f"{name}: {sizes}." in captions(app).replace("\u2060", "")
