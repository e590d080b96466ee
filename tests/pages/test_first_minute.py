"""The first minute: a prompt goes with its visitor, and a page asks for what it is about."""

import html
import re

import pytest
from streamlit.runtime.state import SafeSessionState, SessionState

from app.links.link import link_parameters, whole_link
from app.links.pages import PAGES
from app.links.parameters import DEFAULT_PROMPT, PLAYED_PROMPT
from app.shell.presets import PRESETS
from tests.pages.test_pages import (  # noqa: F401 - open_at is a fixture
    Open,
    address,
    expect_well,
    open_at,
)

OWN = "Mr. Darcy met Mr. Bingley, and Mr. Bingley met Jane."
BEGIN_REPEATED = [page.name for page in PAGES if page.repeated]
OFFER = "See it on repeated tokens"


def asked_for(app) -> set[str]:  # noqa: ANN001
    """The pickers in the sidebar."""
    kinds = ("selectbox", "segmented_control", "text_area", "slider", "number_input", "toggle")
    return {widget.key for kind in kinds for widget in app.sidebar.get(kind)} | {
        widget.key for widget in app.sidebar.get("button_group")
    }


@pytest.mark.parametrize("name", BEGIN_REPEATED)
def test_a_typed_prompt_stays_the_input_on_pages_that_begin_with_repeated_tokens(
    open_at: Open,  # noqa: F811
    name: str,
) -> None:
    """It was dropped without a word while the address still held it."""
    app = open_at("attention")
    app.text_area(key="view.prompt").set_value(OWN).run()
    app.switch_page(f"pages/{name}.py").run()
    expect_well(app)
    assert app.text_area(key="view.prompt").value == OWN
    assert address(app) == {"input": "prompt", "prompt": OWN}
    app.switch_page("pages/attention.py").run()
    assert address(app) == {"prompt": OWN}


def test_repeated_tokens_are_one_button_away_with_the_reason(open_at: Open) -> None:  # noqa: F811
    app = open_at("finder", input="prompt", prompt=OWN)
    assert [text for text in app.caption if "meaning cannot stand in" in text.value]
    next(button for button in app.button if button.label == OFFER).click().run()
    expect_well(app)
    assert address(app) == {"prompt": OWN}
    assert app.slider(key="view.length").value == 50
    assert OFFER not in [button.label for button in app.button]


@pytest.mark.parametrize(("name", "offered"), [("finder", False), ("attention", False)])
def test_a_link_that_omits_defaults_means_the_defaults(
    open_at: Open,  # noqa: F811
    name: str,
    offered: bool,
) -> None:
    """A link of every age to such a page that names a prompt alone shows repeated tokens."""
    app = open_at(name, prompt=OWN)
    assert address(app) == {"prompt": OWN}
    assert (OFFER in [button.label for button in app.button]) == offered
    shown = "repeated" if name in BEGIN_REPEATED else "prompt"
    assert app.segmented_control(key="view.input").value == shown


def test_two_prompts_are_not_to_be_repeated_tokens(open_at: Open) -> None:  # noqa: F811
    app = open_at("compare", by="prompt", input="prompt")
    assert OFFER not in [button.label for button in app.button]


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.title)
def test_a_preset_opens_what_it_says_whatever_was_in_the_session(
    open_at: Open,  # noqa: F811
    preset,  # noqa: ANN001
) -> None:
    """The link of the first one held nothing, which stands for the view as it is."""
    app = open_at("tokens", model="gelu-4l", layer="3", head="2")
    app.text_area(key="view.prompt").set_value(OWN).run()
    app.switch_page("pages/start.py").run()
    links = {link.proto.label: link.proto.query_string for link in app.main.get("page_link")}
    assert links[f"**{preset.title}**"]
    for key in list(app.query_params):
        del app.query_params[key]
    for key, value in whole_link(preset.page, preset.values).items():
        app.query_params[key] = value
    app.switch_page(f"pages/{preset.page}.py").run()
    expect_well(app)
    assert address(app) == link_parameters(preset.page, preset.values)
    if "input" not in preset.values:
        shown = app.text_area(key="view.prompt").value
        assert shown == preset.values.get("prompt", DEFAULT_PROMPT)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_sidebar_asks_for_what_its_page_is_about(open_at: Open, page) -> None:  # noqa: ANN001, F811
    found = asked_for(open_at(page.name))
    assert ("view.model" in found) == page.has_sidebar
    assert ("view.input" in found) == (page.asks in ("input", "prompts"))
    assert ("view.bos" in found) <= (page.asks not in ("model", "here", "nothing"))


@pytest.mark.parametrize("page", [page for page in PAGES if page.asks not in ("input", "here")])
def test_what_a_page_does_not_ask_for_changes_nothing_on_it(open_at: Open, page) -> None:  # noqa: ANN001, F811
    """A prompt that cannot be read is no matter of theirs."""
    app = open_at(page.name, input="prompt", prompt=" ")
    expect_well(app)
    assert not [text.value for text in app.text if "no text yet" in text.value]


REPEATED = {"input": "repeated", "length": "20", "batch": "3", "layer": "1", "head": "4"}


def sentence(app) -> str:  # noqa: ANN001
    """The passport as markdown, its escapes read."""
    (found,) = [text.value for text in app.markdown if re.match(r"\*\*L\d+H\d+\*\*: ", text.value)]
    return html.unescape(found)


def test_a_head_begins_with_one_sentence_whose_numbers_lead_to_their_figures(
    open_at: Open,  # noqa: F811
) -> None:
    app = open_at("head", **REPEATED)
    expect_well(app)
    assert app.subheader[0].value == "L1H4 in one sentence"
    said = sentence(app)
    assert re.match(
        r"\*\*L1H4\*\*: looks like an induction head, \[0\.\d\d ± 0\.\d\d\]\(#scores\) where", said
    )
    assert "reads L0H0 most, through its keys, [0.16](#who-it-works-with)" in said
    assert "copies [67%](#what-it-writes-and-what-it-looks-for) of the vocabulary" in said
    loss = re.search(r"rises \[([\d.]+) nats\]\(#what-breaks-without-it\)", said)
    assert loss
    # Each is the number that the page shows there.
    shown = {metric.label: metric.value for metric in app.metric}
    assert float(shown["Zero instead"]) == pytest.approx(float(loss[1]), abs=0.005)
    assert shown["Copies, top guess"] == "66.5%"
    score = app.main.dataframe[0].value.set_index("Score").loc["Induction", "Value"]
    assert f"[{score:.2f} ±" in said
    assert [text for text in app.caption if "standard deviation over the 3 sequences" in text.value]


def test_a_prompt_has_no_spread_and_its_passport_says_so(open_at: Open) -> None:  # noqa: F811
    app = open_at("head", layer="1", head="4")
    assert "±" not in sentence(app).split("by its weights")[0]
    assert [text for text in app.caption if "One prompt has no spread" in text.value]


def test_what_was_not_measured_for_a_passport_is_a_link(open_at: Open) -> None:  # noqa: F811
    app = open_at("head", **REPEATED)
    links = {link.proto.label: link.proto.query_string for link in app.main.get("page_link")}
    for label in ("whether it uses what it reads", "what breaks with other heads"):
        assert "head=4" in links[label]
    assert "when it formed" in links


def focus_of(app, page: str) -> str:  # noqa: ANN001
    """The head that a page opens on."""
    if page == "attention":
        labels = [str(link.proto.label) for link in app.main.get("page_link")]
        (head,) = [label.removeprefix("Open ") for label in labels if label.startswith("Open L")]
        return head
    return f"L{app.selectbox(key='view.layer').value}H{app.selectbox(key='view.head').value}"


@pytest.mark.parametrize("page", ["attention", "finder", "head"])
def test_a_page_opens_on_the_head_that_says_most(open_at: Open, page: str) -> None:  # noqa: F811
    """They opened on L0H0 whatever it does."""
    for link, head in (
        # The strongest induction head, and on few short sequences.
        ({"input": "repeated", "length": "50", "batch": "10"}, "L1H2"),
        ({"input": "repeated"}, "L1H4"),
        ({"input": "prompt"}, "L1H4"),  # Alice comes back
        ({"input": "prompt", "prompt": "Call me Ishmael"}, "L0H0"),  # nothing does
        ({"input": "repeated", "layer": "0", "head": "0"}, "L0H0"),
        ({"input": "repeated", "head": "3"}, "L0H3"),  # from when 0 was left out
        ({"input": "repeated", "layer": "1"}, "L1H0"),
    ):
        app = open_at(page, **{"length": "20", "batch": "3", **link})
        expect_well(app)
        assert focus_of(app, page) == head, link
        assert {"layer", "head"} & address(app).keys() == {"layer", "head"} & link.keys()


@pytest.mark.parametrize("page", ["finder", "head"])
def test_the_number_of_a_head_that_was_picked_stays_when_its_layer_is_changed(
    open_at: Open,  # noqa: F811
    page: str,
) -> None:
    app = open_at(page, input="prompt")
    app.selectbox(key="view.layer").set_value(0).run()
    expect_well(app)
    assert focus_of(app, page) == "L0H4"
    assert (address(app)["layer"], address(app)["head"]) == ("0", "4")


def test_a_missing_model_is_named_with_how_to_get_it_and_kept_in_the_address(
    open_at: Open,  # noqa: F811
) -> None:
    """The page opened another model, and the link had forgotten which one was meant."""
    for model, how in (("gpt2", "downloads it ("), ("my-own-model", "HEADSCOPE_MODELS names")):
        app = open_at("tokens", model=model)
        expect_well(app)
        (note,) = [text.value for text in app.text if text.value.startswith("⚠")]
        assert f"“{model}”" in note and how in note and "This is Attention-only, 2 layers" in note
        assert address(app) == {"model": model}
        app.switch_page("pages/attribution.py").run()
        assert address(app) == {"model": model}
        app.selectbox(key="view.model").set_value("gelu-4l").run()
        expect_well(app)
        assert address(app) == {"model": "gelu-4l"}
        assert not [text.value for text in app.text if "is not here" in text.value]


@pytest.mark.parametrize("model", ["../../etc/passwd", "x" * 200, "<b>gpt2</b>", "a b"])
def test_what_is_no_name_of_a_model_does_not_stay_in_the_address(
    open_at: Open,  # noqa: F811
    model: str,
) -> None:
    app = open_at("tokens", model=model)
    expect_well(app)
    assert [text.value for text in app.text if "is not here" in text.value]
    assert address(app) == {}


@pytest.mark.parametrize(
    ("page", "query", "words"),
    [
        ("head", REPEATED, ["Tokens in each half"]),
        ("circuits", {}, ["Which tokens"]),
        ("finder", {}, ["Horizontal axis", "Vertical axis"]),
    ],
)
def test_controls_speak_plain_english(
    open_at: Open,  # noqa: F811
    page: str,
    query: dict[str, str],
    words: list[str],
) -> None:
    app = open_at(page, **query)
    kinds = ("slider", "number_input", "selectbox")
    labels = [widget.label for kind in kinds for widget in app.get(kind)]
    assert set(words) <= set(labels)
    shown = " ".join([*labels, *(caption.value for caption in app.caption)])
    for jargon in ("S, tokens", "Across", "less the sum", "e-0", "e+0"):
        assert jargon not in shown


def test_the_start_page_is_about_the_text_in_its_box(open_at: Open) -> None:  # noqa: F811
    """Whatever the session's input is, and what is typed there goes along."""
    app = open_at("start", input="repeated")
    expect_well(app)
    assert app.text_area(key="view.prompt").value == PLAYED_PROMPT
    assert [link.proto.label for link in app.main.get("page_link")][0] == "Open L1H1"
    app.text_area(key="view.prompt").set_value(OWN).run()
    expect_well(app)
    app.switch_page("pages/finder.py").run()
    expect_well(app)
    assert address(app)["prompt"] == OWN
    assert app.text_area(key="view.prompt").value == OWN
    empty = open_at("start", prompt=" ")
    assert [text.value for text in empty.text if "no text yet" in text.value]
    assert [link for link in empty.main.get("page_link") if "lesson" in link.proto.label]


def test_the_model_of_the_start_page_is_chosen_in_its_card(open_at: Open) -> None:  # noqa: F811
    app = open_at("start")
    app.selectbox(key="view.model").set_value("gelu-4l").run()
    expect_well(app)
    assert address(app) == {"model": "gelu-4l"}
    (card,) = [each for each in app.expander if each.label.startswith("The model")]
    assert card.label == "The model: GELU, 4 layers · 4 layers of 6 heads"


def test_what_is_typed_is_not_lost_with_the_session(open_at: Open) -> None:  # noqa: F811
    """A restarted server knows the browser's fields only by what it sends with the change."""
    app = open_at("tokens")
    app.text_area(key="view.prompt").set_value(OWN)
    app.session_state = SafeSessionState(SessionState(), lambda: None)
    app.run()
    expect_well(app)
    assert app.text_area(key="view.prompt").value == OWN
    assert address(app) == {"prompt": OWN}
    # Who comes new brings nothing.
    assert open_at("tokens").text_area(key="view.prompt").value == DEFAULT_PROMPT
