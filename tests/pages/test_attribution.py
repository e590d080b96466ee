"""The page on attribution: the end of a prompt, many layers, ranked heads, the lens."""

import json
import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from analysis.head import Head
from analysis.logits.attribution import logit_attribution
from analysis.models.loading import load_model
from analysis.runs.inputs import tokenize
from app.figures import attribution as figures
from app.sections.attribution import components as section
from app.text import display_token
from tests.pages.frames import Frames, frames_of
from tests.pages.test_ablation import press
from tests.pages.test_code import agrees
from tests.pages.test_pages import (
    Open,
    address,
    charts,
    expect_well,
    open_at,
    said,
    text_of,
)

__all__ = ["frames_of", "open_at"]

GELU = "gelu-4l"
PROMPT = "The cat sat on the mat. The cat sat on the"


def titles(app: AppTest) -> list[str]:
    return [text_of(heading.value) for heading in app.subheader]


def captions(app: AppTest) -> str:
    return " ".join(text_of(caption.value) for caption in app.caption)


@pytest.fixture
def many_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if no figure had room for the components of a bundled model."""
    monkeypatch.setattr(figures, "MAX_NAMED", 8)


def test_the_end_of_a_prompt_is_explained_by_the_models_own_guess(open_at: Open) -> None:
    """The prompt stops before its answer; the guess is the model's, run here once more."""
    app = open_at("attribution", model=GELU, prompt=PROMPT)
    expect_well(app)
    model = load_model(GELU)
    tokens = tokenize(model, PROMPT)
    logits = model.bridge(tokens.tensor)[0, -1]
    guess = model.tokenizer.decode([int(logits.argmax())])
    shown = f"“{display_token(guess)}”, the model's own top guess for what comes next"
    assert shown in captions(app)
    assert titles(app)[:2] == ["Who made it say this?", "One position: after “·the”"]
    assert app.slider(key="view.position").value == tokens.length - 1
    bars = re.search(r"the bars sum to (-?[0-9.]+)\.", captions(app))
    assert bars
    bias = float(model.bridge.b_U[int(logits.argmax())])
    assert float(bars[1]) == pytest.approx(float(logits.max()) - bias, abs=0.006)
    assert "position" not in address(app)


def test_of_repeated_tokens_the_last_one_that_came_is_explained(open_at: Open) -> None:
    app = open_at("attribution", input="repeated", length="9", batch="2")
    expect_well(app)
    assert app.slider(key="view.position").value == 17  # of 0 to 18
    assert "own top guess" not in captions(app)
    app.slider(key="view.position").set_value(18).run()
    assert "own top guess" in captions(app)


def test_where_the_foil_comes_next_anyway_no_difference_is_drawn(open_at: Open) -> None:
    app = open_at("attribution", prompt=PROMPT, foil=" cat", position="1")
    expect_well(app)
    assert [text for text in said(app) if "the answer is the foil itself" in text]


def test_heads_are_ranked_with_sign_and_share_and_lead_to_themselves(open_at: Open) -> None:
    app = open_at("attribution", model=GELU, prompt=PROMPT, position="4")
    expect_well(app)
    _, table = app.main.dataframe
    model = load_model(GELU)
    found = logit_attribution(model, tokenize(model, PROMPT))
    values = dict(zip(found.labels, found.values[0, 4], strict=True))
    names = [link.partition("#")[2] for link in table.value["Head"]]
    heads = [name for name in values if "H" in name]
    assert names == sorted(heads, key=lambda name: -abs(values[name]))
    whole = sum(map(abs, values.values()))
    for (_, row), name in zip(table.value.iterrows(), names, strict=True):
        assert row["Logits"] == pytest.approx(values[name], abs=1e-5)
        assert row["Effect"] == ("raises" if values[name] > 0 else "lowers")
        assert row["Share"] == pytest.approx(abs(values[name]) / whole, abs=1e-6)
        link, head = urlsplit(row["Head"]), Head.parse(name)
        query = {
            key: int(text)
            for key, (text,) in parse_qs(link.query).items()
            if key in ("layer", "head")
        }
        assert link.path == "head"
        assert (query.get("layer", 0), query.get("head", 0)) == (head.layer, head.head)
        assert parse_qs(link.query)["prompt"] == [PROMPT]


@pytest.mark.usefixtures("many_layers")
@pytest.mark.parametrize("model", ["attn-only-2l", GELU])
def test_many_layers_begin_with_their_totals(
    frames_of: Frames,  # noqa: F811
    model: str,
) -> None:
    frames = frames_of("attribution", model=model, prompt=PROMPT)
    assert [frame.title for frame in frames] == [
        "Who made it say this?",
        "One position: after “·the”",
        next(frame.title for frame in frames if frame.title.endswith(", opened")),
        "Heads, by what they add after “·the”",
        "Every position and layer",
        "Logit lens: the top guess after each layer",
    ]
    assert [frame.title for frame in frames if agrees(frame) is not True] == []


@pytest.mark.usefixtures("many_layers")
def test_a_layer_is_opened_by_choice_and_by_link(open_at: Open) -> None:
    app = open_at("attribution", model=GELU, prompt=PROMPT)
    expect_well(app)
    model = load_model(GELU)
    tokens = tokenize(model, PROMPT)
    guess = int(model.bridge(tokens.tensor)[0, -1].argmax())
    found = logit_attribution(model, tokens, end=guess)
    totals = [
        abs(
            sum(
                v
                for name, v in zip(found.labels, found.values[0, -1], strict=True)
                if name.startswith(f"L{layer}H")
            )
        )
        for layer in range(4)
    ]
    strongest = int(np.argmax(totals))
    assert f"Layer {strongest}, opened" in titles(app)
    assert "layer" not in address(app)
    other = 3 - strongest
    app.selectbox(key="view.layer").set_value(other).run()
    assert f"Layer {other}, opened" in titles(app)
    assert address(app)["layer"] == str(other)
    linked = open_at("attribution", model=GELU, prompt=PROMPT, layer="0")
    assert "Layer 0, opened" in titles(linked)
    (chart,) = [
        json.loads(c.proto.spec) for c in linked.get("plotly_chart") if "view" not in c.proto.id
    ][2:3]
    assert chart["data"][0]["x"] == [*(f"L0H{head}" for head in range(6)), "MLP0"]


def test_a_large_lens_is_drawn_once_it_is_asked_for(
    open_at: Open,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 45 tokens through 30 layers it takes a browser longer than all else on the page."""
    tokens = tokenize(load_model(GELU), PROMPT).length
    monkeypatch.setattr(section, "MAX_UNASKED", tokens * 5)
    at_once = charts(open_at("attribution", model=GELU, prompt=PROMPT))
    monkeypatch.setattr(section, "MAX_UNASKED", tokens * 5 - 1)
    app = open_at("attribution", model=GELU, prompt=PROMPT)
    expect_well(app)
    assert charts(app) == at_once - 1
    press(app, f"Read every layer ({tokens} positions × 5 depths)")
    expect_well(app)
    assert charts(app) == at_once
    app.text_area(key="view.prompt").set_value(f"{PROMPT} mat").run()
    assert charts(app) == at_once - 1


CLEAN = "The red house and the old horse were near the river, and we all loved the red"
CORRUPT = CLEAN.replace("red house", "old house").replace("old horse", "red horse")


def test_who_made_it_say_this_is_tested_by_ablation_and_by_patching(open_at: Open) -> None:
    """What a head adds is not all that it does: one of layer 0 adds nothing and is needed most."""
    app = open_at("attribution", prompt=CLEAN, against=CORRUPT)
    expect_well(app)
    assert said(app) == []
    table = app.main.dataframe[0].value
    heads = [urlsplit(address).fragment for address in table["Head"]]
    assert heads[:2] == ["L1H1", "L1H4"]
    added = table.set_index(np.array(heads))
    assert added["Reads most from"]["L1H1"] == "3 “·house”"
    model = load_model("attn-only-2l")
    clean, corrupt = (tokenize(model, text) for text in (CLEAN, CORRUPT))
    (house,), (horse,) = (
        model.tokenizer.encode(text, add_special_tokens=False) for text in (" house", " horse")
    )

    def silent(z, hook):  # noqa: ANN001, ANN202
        z[:, :, 0] = 0
        return z

    point = "blocks.0.attn.hook_z"
    whole = model.bridge(clean.tensor)[0, -1, house]
    without = model.bridge.run_with_hooks(clean.tensor, fwd_hooks=[(point, silent)])[0, -1, house]
    assert added["Without it"]["L0H0"] == pytest.approx(float(without - whole), abs=1e-3)
    assert abs(added["Adds"]["L0H0"]) < 0.5 < abs(added["Without it"]["L0H0"])
    kept = {}

    def keep(z, hook):  # noqa: ANN001, ANN202
        kept["z"] = z.clone()

    def put(z, hook):  # noqa: ANN001, ANN202
        z[:, :, 0] = kept["z"][:, :, 0]
        return z

    def difference(logits) -> float:  # noqa: ANN001
        return float(logits[0, -1, house] - logits[0, -1, horse])

    at_best = difference(model.bridge.run_with_hooks(clean.tensor, fwd_hooks=[(point, keep)]))
    at_worst = difference(model.bridge(corrupt.tensor))
    back = difference(model.bridge.run_with_hooks(corrupt.tensor, fwd_hooks=[(point, put)]))
    share = (back - at_worst) / (at_best - at_worst)
    assert added["Brings back"]["L0H0"] == pytest.approx(share, abs=1e-3)
    (link,) = [each for each in app.main.get("page_link") if "every path" in each.proto.label]
    assert parse_qs(link.proto.query_string)["corrupt"] == [CORRUPT]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"against": CORRUPT, "position": "5"}, "choose the last position"),
        ({"against": CLEAN}, "nothing to bring back"),
        ({"against": "The old house"}, "tokens"),
    ],
)
def test_a_corrupt_prompt_that_cannot_be_patched_into_is_one_sentence(
    open_at: Open, values: dict[str, str], sentence: str
) -> None:
    app = open_at("attribution", prompt=CLEAN, **values)
    expect_well(app)
    assert [text for text in said(app) if sentence in text]
    assert "Brings back" not in app.main.dataframe[0].value
    assert app.text_area(key="view.against").value == values["against"]
