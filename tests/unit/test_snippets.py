"""The code that pages offer gives the numbers that they show."""

import re

import numpy as np
import pytest

import analysis
from analysis import definitions as d
from app.frame.snippets import snippet
from app.links.parsers import heads_in
from app.links.subject import Subject
from tests.quantities import CODED, KEPT, PROMPT, expected, loaded, run, shown, view
from tests.snippets import run as run_code


@pytest.mark.parametrize("definition", CODED, ids=lambda definition: definition.name)
@pytest.mark.parametrize("source", ["repeated", "prompt"])
def test_a_snippet_gives_the_numbers_of_the_page(definition, source):
    needs = definition.needs
    if source == "prompt" and not {"run", "pair", "recipe", "answered"} & set(needs):
        pytest.skip("it does not depend on the input")
    if source == "prompt" and "repeated" in needs:
        pytest.skip("it is about repeated tokens")
    with_neurons = definition in (d.NEURON_ACTIVATION, d.NEURON_PEAKS, d.NEURON_TOKENS)
    model_name = "gelu-4l" if with_neurons or source == "prompt" else "attn-only-2l"
    two = {"pair", "recipe", "answered"} & set(needs)
    pair = {"answer": " house", "foil": " horse"} if two else {}
    if definition == d.FLIP_PATH:  # of an answer that leads
        pair = {"answer": " horse", "foil": " house"}
    selection = view(
        input=source,
        model=model_name,
        keep=KEPT,
        offsets="7,0",
        sequence=1,
        method="mean" if source == "repeated" else "zero",
        **pair,
    )
    model = loaded(model_name)
    tokens = (
        analysis.repeated_tokens(model, 8, 3)
        if source == "repeated"
        else analysis.tokenize(model, PROMPT)
    )
    found = shown(definition, run(definition, selection))
    # Effects in windows are kept as numbers of three digits.
    rtol = 2e-3 if definition == d.CORPUS_EFFECTS else 2e-4
    np.testing.assert_allclose(
        found, expected(definition, model, tokens, selection), rtol=rtol, atol=2e-5
    )


# Quantities that a page shows and no snippet gives, with the reason.
WITHOUT_CODE: dict[d.Quantity, str] = {
    d.ROLE_SCREENS: "the largest of many screens",
    d.SET_EDGES: "it ranks edges, of which figures show what runs give",
    d.REDUNDANCY: "backups are searched for; without them it is the verdict's",
    d.SCORE_OVER_SET: "the page takes the code of the score that is chosen",
    **dict.fromkeys(
        (d.NEXT, d.COPIES, d.SEPARATOR, d.MASKED_LOSS, d.MASKED_ABLATION),
        "of encoders, whose code is of transformers alone: `app.frame.snippets.encoders`",
    ),
    d.ROLES["delimiter"]: "a ratio of shares by signs of punctuation",
    d.ROLES["positional"]: "a share of variance over distances",
    d.ROLES["retrieval"]: "counted where the model is right alone",
    **{
        d.ROLES[key]: "ranks of whole rows of the vocabulary, for hundreds of tokens and every head"
        for key in ("name-mover", "negative-name-mover", "copy-suppression", "copying", "successor")
    },
}


def test_every_definition_has_a_snippet_or_a_reason_to_have_none():
    assert {each for each in d.QUANTITIES if not each.code} == WITHOUT_CODE.keys()


def test_one_program_gives_several_quantities():
    code = snippet([d.PATTERN, *d.SCORES.values()], Subject(view()))
    assert code
    assert code.count("run_with_cache") == 1
    assert code.count("print(result)") == 1 + len(d.SCORES)


def test_what_the_code_of_a_pattern_says_of_the_widget_draws_it():
    code = snippet([d.PATTERN], Subject(view()))
    assert code
    (shown,) = re.findall(r"(?m)^# headscope\.(show\(.*\))$", code)
    draw = f"from app.notebook import show\nresult = torch.tensor({shown}._patterns)\nprint(result)"
    every, drawn = run_code(f"{code}\n{draw}")
    np.testing.assert_allclose(drawn, every[0].reshape(drawn.shape), atol=1e-6)


def test_the_code_of_a_checkpoint_takes_the_weights_of_that_step():
    name = "attn-only-2l@1221"
    tokens = analysis.repeated_tokens(model := analysis.load_model(name, device="cpu"), 8, 3)
    scores = analysis.head_scores(model, tokens)["previous"]
    found = run(d.SCORES["previous"], view(model=name, input="repeated"))
    np.testing.assert_allclose(found, scores, rtol=2e-4, atol=2e-5)


def test_the_code_of_a_resample_ablation_swaps_as_the_page_does():
    """Which sequence stands in for which is a choice in the link, and changes the number."""
    model = loaded("attn-only-2l")
    tokens = analysis.repeated_tokens(model, 8, 3)
    found = []
    for swap in (0, 7):
        selection = view(input="repeated", method="resample", swap=swap)
        found.append(run(d.ABLATION_ESTIMATE, selection))
        estimate = analysis.ablation_estimate(model, tokens, "resample", seed=swap)
        np.testing.assert_allclose(found[-1], estimate.values, rtol=2e-4, atol=2e-5)
    assert not np.allclose(*found)


@pytest.mark.parametrize("method", ["mean", "resample"])
@pytest.mark.parametrize("definition", [d.ABLATION_ESTIMATE, d.ABLATION, d.KEEP_ONLY])
def test_the_code_of_one_prompt_goes_against_the_reference_text(method, definition):
    """Of gelu-4l's own prompt: there are no other sequences to take a mean over."""
    model = loaded("gelu-4l")
    tokens = analysis.tokenize(model, PROMPT)
    selection = view(model="gelu-4l", input="prompt", method=method, swap=5, keep=KEPT)
    code = snippet([definition], Subject(selection, kept=heads_in(selection["keep"])))
    assert code
    found = run(definition, selection)
    match definition:
        case d.ABLATION:
            wanted = analysis.ablation_sweep(model, tokens, method, seed=5).values
        case d.ABLATION_ESTIMATE:
            wanted = analysis.ablation_estimate(model, tokens, method, seed=5).values
        case _:
            wanted = analysis.keep_only(model, tokens, heads_in(KEPT))
    np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=2e-5)
