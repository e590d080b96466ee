"""Every page, run by Streamlit's own test harness: defaults, presets, links, bad input."""

import html
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from analysis.definitions import SCORES
from analysis.models.catalog import available_models
from app.links.link import link_parameters
from app.links.pages import PAGES, page_info
from app.links.parameters import BY_KEY
from app.shell.presets import PRESETS
from tests.hostile import HOSTILE, ODD, SCRIPTS

ENTRY = str(Path(__file__).parents[2] / "streamlit_app.py")
PAGE_NAMES = [page.name for page in PAGES]
WITHOUT_NUMBERS = ("start", "learn", "glossary", "join", "findings")
ANALYSIS_PAGES = [name for name in PAGE_NAMES if name not in WITHOUT_NUMBERS]
INPUT_PAGES = [page.name for page in PAGES if page.asks == "input"]
APOLOGY = "Something went wrong"

Open = Callable[..., AppTest]


@pytest.fixture
def open_at() -> Open:
    """`open_at(page, **query)`: the page after its first run with that link."""

    def open_page(name: str, **query: str) -> AppTest:
        app = AppTest.from_file(ENTRY, default_timeout=400)
        for key, value in query.items():
            app.query_params[key] = value
        if name != "start":
            app.switch_page(f"pages/{name}.py")
        return app.run()

    return open_page


def text_of(markdown: str) -> str:
    """A heading as it is read: our escapes are entities."""
    return html.unescape(markdown)


def said(app: AppTest) -> list[str]:
    """The plain sentences on the page, where refusals and notes are."""
    return [text.value for text in app.text]


def expect_well(app: AppTest) -> None:
    assert not app.exception
    assert not [error.value for error in app.error if APOLOGY in error.value]


def address(app: AppTest) -> dict[str, str]:
    """The query parameters; the harness holds them as lists until the script has set them."""
    return {k: v if isinstance(v, str) else v[-1] for k, v in app.query_params.items()}


def head_tables(app: AppTest) -> list[str]:
    """The HTML of the tables that list heads as links."""
    pages = [element.proto.body for element in app.get("html")]
    return [page for page in pages if 'class="hs-heads"' in page]


def charts(app: AppTest) -> int:
    return len(app.get("plotly_chart"))


@pytest.mark.parametrize("name", PAGE_NAMES)
def test_a_page_opens_on_its_defaults_with_nothing_to_complain_about(
    open_at: Open, name: str
) -> None:
    app = open_at(name)
    expect_well(app)
    assert said(app) == []
    assert app.title[0].value == next(page.title for page in PAGES if page.name == name)
    if name in ANALYSIS_PAGES:
        assert app.subheader


@pytest.mark.parametrize("name", INPUT_PAGES)
@pytest.mark.parametrize("source", ["prompt", "repeated"])
def test_a_page_works_on_a_prompt_and_on_repeated_tokens(
    open_at: Open, name: str, source: str
) -> None:
    app = open_at(name, input=source, length="20", batch="3")
    expect_well(app)
    assert said(app) == []
    assert app.segmented_control(key="view.input").value == source
    assert charts(app) or app.main.dataframe or head_tables(app)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.title)
def test_a_preset_opens_a_finished_view(open_at: Open, preset) -> None:  # noqa: ANN001
    app = open_at(preset.page, **link_parameters(preset.page, preset.values))
    expect_well(app)
    assert said(app) == []
    assert charts(app) or app.main.dataframe or head_tables(app)


# One by one where tokens are listed; everywhere else in two prompts, to be quick.
HOSTILE_PROMPTS = [("tokens", text) for text in HOSTILE] + [
    (name, " ".join(texts)) for name in INPUT_PAGES for texts in (SCRIPTS, ODD)
]


@pytest.mark.parametrize(("name", "text"), HOSTILE_PROMPTS)
def test_hostile_text_is_analysed_like_any_other(open_at: Open, name: str, text: str) -> None:
    app = open_at(name, prompt=text, input="prompt")
    expect_well(app)
    assert app.text_area(key="view.prompt").value == text


@pytest.mark.parametrize("name", INPUT_PAGES)
@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"prompt": ""}, "no text yet"),
        ({"prompt": " \n\t "}, "no text yet"),
        ({"prompt": "a b c " * 249 + "x"}, "tokens; attn-only-2l takes 512"),
        ({"input": "repeated", "length": "255", "batch": "64"}, "at most 6,500"),
    ],
    ids=["empty", "blank", "too long", "too much"],
)
def test_input_that_cannot_be_used_is_one_sentence_and_stays(
    open_at: Open, name: str, query: dict[str, str], sentence: str
) -> None:
    app = open_at(name, **{"input": "prompt", **query})
    expect_well(app)
    assert [text for text in said(app) if sentence in text]
    if query.get("input") != "repeated":
        assert app.text_area(key="view.prompt").value == query["prompt"]


@pytest.mark.parametrize("name", PAGE_NAMES)
def test_a_link_that_is_wrong_throughout_opens_the_default_view_and_says_so(
    open_at: Open, name: str
) -> None:
    wrong = {
        "model": "../../etc/passwd",
        "input": "file",
        "length": "-1",
        "batch": "1e9",
        "seed": "٣",
        "bos": "yes",
        "layer": "17",
        "head": "99",
        "threshold": "nan",
        "method": "rm -rf",
        "sequence": "999",
        "position": "x",
    }
    app = open_at(name, **wrong)
    expect_well(app)
    notes = "\n".join(said(app))
    for key in ("input", "length", "batch", "seed", "bos"):
        assert f"{BY_KEY[key].said}: " in notes
    for sentence in ("has no layer 17", "has no head 99", "of the link is not here"):
        assert sentence in notes
    assert address(app) == {}


def test_the_address_holds_the_view_without_defaults(open_at: Open) -> None:
    app = open_at("attention", layer="1", head="3", threshold="0.4", bos="1")
    assert address(app) == {"layer": "1", "head": "3"}


def test_a_changed_widget_is_in_the_address_and_in_the_figures(open_at: Open) -> None:
    app = open_at("attention", view="circuitsvis")
    app.selectbox(key="view.layer").set_value(1).run()
    app.selectbox(key="view.head").set_value(5).run()
    assert address(app) == {"view": "circuitsvis", "layer": "1", "head": "5"}
    assert "L1H5 in full" in [heading.value for heading in app.subheader]


@pytest.mark.parametrize("name", ["ablation", "circuits", "attention", "patching"])
def test_a_browser_that_missed_a_run_is_told_every_value_again(open_at: Open, name: str) -> None:
    """It would show, and report, the least value of a slider that only the missed run had set."""
    app = open_at(name, input="repeated", length="12", batch="3").run()
    asked = {"input": {"view.model", "view.length", "view.batch"}, "prompts": {"view.bos"}}
    kinds = ("slider", "selectbox", "number_input", "text_input", "toggle", "multiselect")
    widgets = [widget for kind in (*kinds, "button_group") for widget in app.get(kind)]
    told = {widget.key: widget.proto.set_value for widget in widgets if widget.key}
    assert {"view.model"} | asked.get(page_info(name).asks, set()) <= set(told)
    untold = [key for key, value in told.items() if not value]
    assert all(not key.startswith(("view.", "joint")) for key in untold), untold


def test_circuitsvis_draws_fewer_heads_of_a_long_input_and_says_so(open_at: Open) -> None:
    short = open_at("attention", view="circuitsvis", prompt="The cat sat on the mat")
    long = open_at("attention", view="circuitsvis", input="repeated", length="50")
    for app, said_so in ((short, False), (long, True)):
        expect_well(app)
        assert bool([c for c in app.caption if "many for CircuitsVis" in c.value]) == said_so


def test_the_input_is_kept_when_another_page_is_opened(open_at: Open) -> None:
    app = open_at("tokens")
    app.text_area(key="view.prompt").set_value("Mr. Darcy met Mr. Bingley.").run()
    app.switch_page("pages/attribution.py").run()
    assert app.text_area(key="view.prompt").value == "Mr. Darcy met Mr. Bingley."
    assert address(app)["prompt"] == "Mr. Darcy met Mr. Bingley."


def test_a_long_prompt_works_and_the_page_says_that_the_link_lacks_it(open_at: Open) -> None:
    app = open_at("tokens")
    prompt = "the old house by the sea " * 70
    app.text_area(key="view.prompt").set_value(prompt).run()
    expect_well(app)
    assert app.text_area(key="view.prompt").value == prompt
    assert "prompt" not in address(app)
    assert [caption for caption in app.caption if "too long for a link" in caption.value]


def test_a_text_of_100_kb_is_refused_at_once_and_kept(open_at: Open) -> None:
    app = open_at("attention")
    prompt = "word " * 20_000
    app.text_area(key="view.prompt").set_value(prompt).run()
    assert [text for text in said(app) if "100,000 characters" in text]
    assert app.text_area(key="view.prompt").value == prompt


def test_a_text_too_large_to_keep_is_dropped_and_the_one_before_stays(open_at: Open) -> None:
    """24 MB were kept for each session, twice, for the visitor to shorten."""
    app = open_at("attention")
    before = app.text_area(key="view.prompt").value
    app.text_area(key="view.prompt").set_value("word " * 20_001).run()
    assert [text for text in said(app) if "longer than 100,000 characters; it stays" in text]
    assert app.text_area(key="view.prompt").value == before
    state = app.session_state["headscope.selection"]
    assert max(len(str(value)) for value in [*state.chosen.values(), *state.shown.values()]) < 1000


def test_a_sequence_that_the_batch_lacks_is_said(open_at: Open) -> None:
    app = open_at("induction", batch="3", sequence="5")
    expect_well(app)
    assert [text for text in said(app) if "3 sequences" in text]
    assert app.number_input(key="view.sequence").value == 2


def test_an_answer_of_several_tokens_is_refused_with_a_hint(open_at: Open) -> None:
    app = open_at("attribution", answer="garden")
    expect_well(app)
    assert [text for text in said(app) if "With a space in front it is one token" in text]
    assert app.text_input(key="view.answer").value == "garden"


def test_answer_and_foil_are_compared(open_at: Open) -> None:
    app = open_at("attribution", answer=" house", foil=" sea")
    expect_well(app)
    assert [caption for caption in app.caption if "logit difference" in caption.value]


def test_a_prompt_in_which_nothing_comes_twice_has_no_induction_score(open_at: Open) -> None:
    app = open_at("induction", input="prompt", prompt="Call me Ishmael")
    expect_well(app)
    assert [info for info in app.info if "Repeat a word" in info.value]


def score_table(app: AppTest) -> pd.DataFrame:
    """The scores of both sides of a comparison."""
    (found,) = (each.value for each in app.main.dataframe if "Score" in each.value.columns)
    return found


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ({}, "without"),
        ({"by": "head", "layer2": "0", "head2": "0"}, "beside L0H0"),
        ({"by": "prompt", "input": "prompt"}, "second prompt"),
        ({"by": "ablate", "layer": "1", "head": "2", "ablate": "L0H5"}, "L1H2 without L0H5"),
    ],
)
def test_two_sides_are_compared_and_stay_in_the_link(
    open_at: Open, query: dict[str, str], title: str
) -> None:
    app = open_at("compare", **query)
    expect_well(app)
    assert said(app) == []
    assert [heading for heading in app.subheader if title in text_of(heading.value)]
    scores = score_table(app)
    assert list(scores.columns)[3] == "B − A"
    np.testing.assert_allclose(scores.iloc[:, 3], scores.iloc[:, 2] - scores.iloc[:, 1])
    kept = {"by": "ablate"} | address(app)
    assert query.items() <= kept.items()


def test_without_the_previous_token_head_the_induction_stripe_is_gone(open_at: Open) -> None:
    """The default view has to show something at once."""
    scores = score_table(open_at("compare")).set_index("Score")
    with_it, without_it = scores.loc["Induction score"].iloc[:2]
    assert with_it > 0.6
    assert without_it < 0.3 * with_it


def test_a_second_model_that_is_not_there_is_said(
    open_at: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = available_models()[:1]
    monkeypatch.setattr("app.sections.compare.available_models", lambda: only)
    app = open_at("compare", by="model")
    expect_well(app)
    assert [info for info in app.info if "no second model" in info.value]
    app = open_at("compare", by="model", model2="../../etc/passwd")
    expect_well(app)
    assert [text for text in said(app) if "second model is not here" in text]


def test_an_ablation_that_cannot_reach_the_head_is_explained(open_at: Open) -> None:
    app = open_at("compare", layer="0", head="1")
    assert [caption for caption in app.caption if "both sides are alike" in caption.value]
    app = open_at("compare", layer="1", head="1", ablate="L1H3")
    assert [caption for caption in app.caption if "both sides are alike" in caption.value]


@pytest.mark.parametrize(
    ("key", "text"),
    [("by", "moon"), ("ablate", "L0H99"), ("ablate", "x"), ("layer2", "9"), ("head2", "-1")],
)
def test_a_bad_side_in_the_link_is_one_sentence(open_at: Open, key: str, text: str) -> None:
    app = open_at("compare", **{key: text})
    expect_well(app)
    assert len(said(app)) == 1
    assert address(app) == {}


def test_two_prompts_of_different_length_are_shown_side_by_side(open_at: Open) -> None:
    app = open_at("compare", by="prompt", input="prompt", prompt2="Alice met Alice")
    expect_well(app)
    assert len(score_table(app)) == len(SCORES)


def test_choosing_two_prompts_turns_the_sidebar_to_the_prompt(open_at: Open) -> None:
    app = open_at("compare")
    app.segmented_control(key="view.by").set_value("prompt").run()
    expect_well(app)
    assert address(app) == {"by": "prompt", "input": "prompt"}


def test_a_failure_of_ours_is_an_apology_without_a_traceback(
    open_at: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(selection: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("app.compute.calls.next_token_stats", fail)
    app = open_at("tokens")
    assert not app.exception
    assert [error for error in app.error if APOLOGY in error.value]
    assert "secret detail" not in str(app)


def test_the_start_page_says_what_the_model_allows(open_at: Open) -> None:
    (table,) = open_at("start").table
    allowed = dict(zip(table.value["Analysis"], table.value["Allowed"], strict=True))
    assert text_of(allowed["OV circuits"]) == "Yes."
    assert "attention only" in allowed["Neurons"]


def test_a_bos_token_that_is_typed_as_well_is_said(open_at: Open) -> None:
    """Two of them stood at the front without a word."""
    typed = "<|endoftext|>The cat sat."
    app = open_at("tokens", prompt=typed)
    expect_well(app)
    assert [text for text in said(app) if "stands there twice" in text]
    assert not [t for t in said(open_at("tokens", prompt=typed, bos="0")) if "twice" in t]
