"""Conversations: tokens as transformers has them, and who speaks each of them."""

import io
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

import analysis
from analysis.errors import AnalysisError
from analysis.heads.speakers import parts_of
from analysis.models import catalog, rendering, template
from analysis.models.loading import HeadModel
from analysis.runs.conversation import conversation
from analysis.tokens import Tokens
from analysis.turns import turns_of
from app.frame.snippets import snippet
from app.links.subject import Subject
from tests.chat_models import CHAT_ML, INST, MODEL_TURNS, name_template, save_chat
from tests.model_folders import listed, transformers_itself
from tests.quantities import view

TALK = (("user", "The cat sat"), ("assistant", "on the mat."), ("user", "Why?"))
ASKED = (("system", "Be short."), ("user", "Who?"), ("assistant", "Mary and"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, HeadModel]:
    """One model for each template; they differ in nothing else."""
    root = tmp_path_factory.mktemp("models")
    folder = save_chat(root, "toy-chat", CHAT_ML)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSCOPE_MODELS", str(root))
        catalog.refresh()
        model = analysis.load_model("toy-chat")
    catalog.refresh()
    found = {}
    for name, text in {"chat-ml": CHAT_ML, "inst": INST, "model": MODEL_TURNS}.items():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.chat_template = text
        found[name] = with_tokenizer(model, tokenizer)
    return found


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second less each; the process is looked into by `test_template`."""
    monkeypatch.setattr(template, "_in_its_process", lambda asked, name: rendering.rendered(asked))


def with_tokenizer(model, tokenizer):
    return HeadModel(model.info, model.bridge, tokenizer, model.fingerprint)


def with_template(model, text):
    tokenizer = AutoTokenizer.from_pretrained(model.info.folder)
    tokenizer.chat_template = text
    return with_tokenizer(model, tokenizer)


def said(tokens: Tokens, who: str) -> str:
    """All text of one speaker."""
    shown = zip(tokens.labels[0], tokens.speakers, strict=True)
    return "".join(label for label, speaker in shown if speaker == who)


def ids_of_transformers(model, turns):
    last = turns[-1][0] == "assistant"
    return model.tokenizer.apply_chat_template(
        [{"role": who, "content": text} for who, text in turns],
        add_generation_prompt=not last,
        continue_final_message=last,
        return_dict=False,
    )


@pytest.mark.parametrize("turns", [TALK, ASKED], ids=["talk", "asked"])
@pytest.mark.parametrize("name", ["chat-ml", "inst", "model"])
def test_tokens_are_those_of_transformers(models, name, turns):
    """A last turn of the assistant is left open there by `continue_final_message`."""
    if name == "model":  # its template has no system
        turns = turns[-2:] if turns == ASKED else turns
    tokens = conversation(models[name], turns)
    assert tokens.ids[0].tolist() == ids_of_transformers(models[name], turns)
    assert tokens.has_bos == (tokens.labels[0][0] == "<|endoftext|>")


def test_each_token_is_of_the_turn_whose_text_it_is_part_of(models):
    for name, turns in {"chat-ml": ASKED, "inst": ASKED, "model": TALK}.items():
        tokens = conversation(models[name], turns)
        for who in dict(turns):
            of_them = "".join(text for speaker, text in turns if speaker == who)
            # A blank that the template writes can be part of a turn's first token.
            assert said(tokens, who).replace(" ", "") == of_them.replace(" ", ""), name


def test_a_system_message_that_the_template_adds_is_of_the_system(models):
    tokens = conversation(models["chat-ml"], (("user", "Hello"),))
    assert said(tokens, "system") == (
        "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
    )
    assert said(tokens, "user") == "Hello"
    assert said(tokens, "template") == (
        "<|im_start|>system\n<|im_end|>\n<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n"
    )
    # A border or a BOS token before the first turn is no system message.
    assert "system" not in conversation(models["inst"], TALK).speakers
    assert "system" not in conversation(models["model"], TALK).speakers


def test_an_earlier_turn_of_the_assistant_is_told_from_the_answer(models):
    turns = (*TALK, ("assistant", "It was"))
    tokens = conversation(models["chat-ml"], turns)
    shown = list(zip(tokens.labels[0], tokens.parts, strict=True))
    assert "".join(label for label, part in shown if part == "answer") == "It was"
    assert "".join(label for label, part in shown if part == "assistant") == "on the mat."
    assert "answer" not in conversation(models["chat-ml"], TALK).parts


def test_typed_text_cannot_end_a_turn(models):
    """What the tokenizer sets apart is refused; less than the whole of it is only text."""
    for text in ("a<|im_end|>", "<|im_start|>system", "<|endoftext|>"):
        with pytest.raises(AnalysisError, match="Turn 1, of the user, holds .* sets apart"):
            conversation(models["chat-ml"], (("user", text),))
    tokens = conversation(models["chat-ml"], (("user", "a <|im_end| > b"), ("assistant", "c")))
    assert said(tokens, "user") == "a <|im_end| > b"
    assert tokens.note == ""


def test_a_border_that_is_only_text_is_said_to_look_like_one(models):
    """The model cannot tell it from the template's own, so that is said, and whose it is."""
    tokens = conversation(models["inst"], (("user", "a [/INST] b"), ("assistant", "c")))
    assert "Turn 1 holds “[/INST]”" in tokens.remark
    assert said(tokens, "user").strip() == "a [/INST] b"
    for turns in ((("user", "[INST] a"),), (*TALK[:2], ("user", "[INST] b"))):
        found = conversation(models["inst"], turns)
        assert f"Turn {len(turns)} holds “[INST]”" in found.remark
    assert conversation(models["inst"], TALK).remark == ""


@pytest.mark.parametrize(
    ("turns", "sentence"),
    [
        ((), "There is no turn yet"),
        ((("user", "  "),), "Turn 1, of the user, is empty"),
        ((("tool", "a"),), "Turn 1 is of “tool”"),
        ((("user", "a\ue000"),), "Turn 1 holds U\\+E000"),
        ((("user", "a\ud800"),), "Turn 1 holds U\\+D800"),
        ((("user", "a"),) * 65, "65 turns; at most 64"),
        ((("user", "a" * 20_001),), "20,001 characters"),
        ((("user", "cat " * 250),), "toy-chat takes 256"),
    ],
)
def test_what_is_no_conversation_is_refused(models, turns, sentence):
    with pytest.raises(AnalysisError, match=sentence):
        conversation(models["chat-ml"], turns)


def test_what_a_template_says_against_a_conversation_is_quoted(models):
    with pytest.raises(AnalysisError, match="does not take this .*“System role not supported”"):
        conversation(models["model"], ASKED)
    with pytest.raises(AnalysisError, match="“Roles must take turns”"):
        conversation(models["inst"], (("user", "a"), ("user", "b")))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{% for m in messages %}{{ m.content | upper }}{% endfor %}", "changes the text"),
        ("{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}", "once and in one"),
        ("{{ messages[0].content }}", "does not write each turn once"),
        ("{{ messages | map(attribute='content') | reverse | join }}", "changes the text"),
        (
            "{% for m in messages %}{{ m.content }}{{ m.content | length }}{% endfor %}",
            "by what is in it",
        ),
        (None, "has no chat template"),
        ("a" * 100_001, "100,001 characters"),
    ],
)
def test_a_template_by_which_nobody_can_tell_who_speaks_is_refused(models, text, sentence):
    with pytest.raises(AnalysisError, match=sentence):
        conversation(with_template(models["chat-ml"], text), TALK)


@pytest.mark.parametrize(
    ("text", "turns"),
    [
        ("user: a\nb\n\n assistant:c ", (("user", "a\nb"), ("assistant", "c"))),
        ("System:\na user: b", (("system", "a user: b"),)),
        ("user:", (("user", ""),)),
    ],
)
def test_a_turn_begins_with_who_speaks_at_the_start_of_a_line(text, turns):
    assert turns_of(text) == turns


@pytest.mark.parametrize("text", ["", "hello", "hello\nuser: a"])
def test_a_text_without_turns_is_refused(text):
    with pytest.raises(AnalysisError, match="made of turns"):
        turns_of(text)


def test_a_template_is_found_in_either_file_and_counts_in_the_fingerprint(root: Path):
    folder = save_chat(root, "toy-chat", CHAT_ML)
    assert listed("toy-chat").has_chat
    before = analysis.load_model("toy-chat")
    (folder / "chat_template.jinja").write_text(INST)
    after = analysis.load_model("toy-chat")
    assert after.fingerprint != before.fingerprint
    name_template(folder, CHAT_ML)
    assert listed("toy-chat").has_chat
    ids = conversation(analysis.load_model("toy-chat"), TALK).ids
    assert ids.tolist() == conversation(before, TALK).ids.tolist()
    (folder / "tokenizer_config.json").write_text("{}")
    assert not listed("toy-chat").has_chat


def own_patterns(model, tokens):
    """Patterns by transformers, [layer, head, dest, src]."""
    inner = transformers_itself(model.info.folder)
    with torch.inference_mode():
        found = inner(tokens.tensor, output_attentions=True).attentions
    return np.stack([each[0].numpy() for each in found])


def test_attention_by_speaker_is_the_sum_over_their_tokens(models):
    """Beside a loop over the patterns that transformers returns."""
    model = models["chat-ml"]
    tokens = conversation(model, ASKED)
    found = analysis.speaker_attention(model, tokens)
    pattern = own_patterns(model, tokens)
    assert found.parts == ("system", "user", "answer", "template")
    answer = [at for at, part in enumerate(tokens.parts) if part == "answer"]
    assert found.dests == tuple(answer)
    for place, part in enumerate(found.parts):
        of_part = [at for at, each in enumerate(tokens.parts) if each == part]
        shares = pattern[:, :, answer][..., of_part].sum(-1)
        np.testing.assert_allclose(found.values[..., place], shares.mean(-1), atol=1e-5)
        np.testing.assert_allclose(found.spread[..., place], shares.std(-1, ddof=1), atol=1e-5)
        even = [sum(at <= dest for at in of_part) / (dest + 1) for dest in answer]
        assert found.chance[place] == pytest.approx(np.mean(even), abs=1e-6)


def test_without_an_answer_it_is_the_last_position_that_reads(models):
    tokens = conversation(models["chat-ml"], TALK)
    found = analysis.speaker_attention(models["chat-ml"], tokens)
    assert found.dests == (tokens.length - 1,)
    assert np.isnan(found.spread).all()
    assert found.chance.sum() == pytest.approx(1)


def test_attribution_by_speaker_adds_up_to_that_of_each_head(models):
    model = models["chat-ml"]
    tokens = conversation(model, ASKED)
    dest, target, foil = tokens.length - 1, 40, 50
    found = analysis.speaker_attribution(model, tokens, dest, target, foil)
    whole = analysis.logit_attribution(model, tokens, targets=target, foils=foil)
    for head, at in whole.heads.items():
        total = found.values[head.layer, head.head].sum()
        assert total == pytest.approx(whole.values[0, dest, at], abs=1e-4)
    by_source = analysis.source_attribution(
        model, tokens, analysis.Head(2, 1), targets=target, foils=foil
    ).values[0, dest]
    for place, part in enumerate(found.parts):
        of_part = [at for at, each in enumerate(tokens.parts) if each == part]
        assert found.values[2, 1, place] == pytest.approx(by_source[of_part].sum(), abs=1e-4)


def test_tokens_without_speakers_have_no_parts(models):
    tokens = conversation(models["chat-ml"], TALK)
    with pytest.raises(AnalysisError, match="no conversation"):
        parts_of(replace(tokens, speakers=()))
    with pytest.raises(ValueError, match="speakers"):
        replace(tokens, speakers=("user",))


def test_the_code_of_a_figure_makes_the_same_tokens_and_numbers(root: Path):
    save_chat(root, "toy-chat", CHAT_ML)
    catalog.refresh()
    model = analysis.load_model("toy-chat")
    text = "\n".join(f"{who}: {said}" for who, said in ASKED)
    selection = view(model="toy-chat", input="chat", chat=text)
    tokens = conversation(model, ASKED)
    d = analysis.definitions
    about = Subject(selection, dest=tokens.length - 1, whose=tokens.parts)
    end = int(analysis.next_token_stats(model, tokens).top_ids[0, -1, 0])
    expected = {
        d.TOKENS: tokens.ids,
        d.SPEAKER_ATTENTION: analysis.speaker_attention(model, tokens).values,
        d.SPEAKER_ATTRIBUTION: analysis.speaker_attribution(
            model, tokens, tokens.length - 1, end=end
        ).values,
    }
    for quantity, values in expected.items():
        code = snippet([quantity], about)
        assert code
        names: dict[str, object] = {}
        with redirect_stdout(io.StringIO()):
            exec(code, names)
        np.testing.assert_allclose(names["result"], values, atol=2e-5)
