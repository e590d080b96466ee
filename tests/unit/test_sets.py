"""Sets of prompts: what is read of what people paste, and how one model takes it."""

import json
from pathlib import Path

import numpy as np
import pytest

from analysis.errors import AnalysisError
from analysis.limits import MAX_ROWS, MAX_SET_BYTES
from analysis.models.loading import HeadModel
from analysis.runs.inputs import tokenize
from analysis.runs.predictions import next_token_stats
from analysis.sets.builtin import BUILT_IN, builtin_set
from analysis.sets.fitted import fit_set, next_token, prompt_set, token_counts
from analysis.sets.metrics import set_metric
from analysis.sets.reading import MAX_NOTES, form_of, read_set
from analysis.sets.rows import Place, PromptRow, PromptSet, as_lines
from tests.hostile import HOSTILE

ROW = {"prompt": "The dog saw it", "answer": "run", "foil": "sit", "places": {"it": "it"}}


def sentences(found: PromptSet) -> str:
    return " ".join(note.sentence for note in found.notes)


def test_lines_csv_and_json_give_the_same_rows() -> None:
    lines = read_set("one two\n\nthree four\r\n", "pasted")
    cells = read_set(b"Prompt,answer\none two,\n three four ,\n", "rows.csv")
    objects = read_set('{"prompt": "one two"}\n{"prompt": "three four"}', "rows.jsonl")
    assert lines.prompts == objects.prompts == ("one two", "three four")
    assert cells.prompts == ("one two", " three four ")
    assert lines.hash == objects.hash != cells.hash
    assert not lines.notes


@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_columns_may_be_split_by_commas_semicolons_and_tabs(sign: str) -> None:
    text = sign.join(["prompt", "answer", "foil", "place:it"])
    text += "\n" + sign.join(["The dog saw it", "run", "sit", "it#1"])
    found = read_set(text, "pasted")
    assert form_of(text, "pasted") == "csv"
    assert found.rows == (PromptRow("The dog saw it", None, "run", "sit", (Place("it", "it"),)),)
    assert found.hash == read_set(json.dumps(ROW), "pasted").hash


def test_rows_written_as_lines_are_read_back() -> None:
    rows = tuple(PromptRow(text) for text in HOSTILE if text.strip() and "\0" not in text)
    rows += (PromptRow("a b a", "a c a", " b", "c", (Place("again", "a#", 2),)),)
    assert read_set(as_lines(rows), "x.jsonl").rows == rows


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("x.jsonl", '{"prompt": "good row"}\n{"prompt": ', "Line 2 is not JSON"),
        ("x.jsonl", '{"prompt": "good row"}\n' + "[" * 9000, "Line 2 is not JSON"),
        ("x.jsonl", '{"prompt": "good row"}\n[1, 2]', "Line 2 is not a JSON object"),
        ("x.jsonl", '{"prompt": "good row"}\n{"answer": "x"}', "Line 2 has no prompt"),
        ("x.jsonl", '{"prompt": "good row"}\n{"prompt": 3}', "Line 2 has a `prompt` that is not"),
        ("x.jsonl", '{"prompt": "good row"}\n{"prompt": "a\\u0000b"}', "NUL character"),
        ("x.jsonl", '{"prompt": "good row"}\n{"prompt": "a \\ud800"}', "half of a surrogate"),
        (
            "x.jsonl",
            '{"prompt": "good row"}\n{"prompt": "a b", "answer": "c", "foil": "c"}',
            "the same answer and foil",
        ),
        ("x.jsonl", '{"prompt": "good row"}\n{"prompt": "a b", "foil": "c"}', "no answer"),
        ("x.jsonl", '{"prompt": "good row"}\n{"prompt": "a b", "places": [1]}', "`places`"),
        ("x.txt", "good row\nbad\0row", "Line 2 has a `prompt` with a NUL character"),
        ("x.txt", "good row\n" + "long " * 9000, "Line 2 has a `prompt` of 45,000 characters"),
        ("x.txt", "good row\nother\ngood row", "Line 3 repeats line 1"),
        ("x.csv", "prompt\ngood row\na,b,c", "Line 3 has 3 cells for 1 columns"),
        ("x.csv", 'prompt\ngood row\n"open', "Line 3 cannot be read as CSV: a quote that is never"),
    ],
)
def test_a_bad_row_is_named_and_the_good_ones_stay(name: str, text: str, why: str) -> None:
    found = read_set(text, name)
    assert found.prompts[0] == "good row"
    assert why in sentences(found)
    assert all(note.left_out for note in found.notes)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("x.csv", "good row,bad row", "Line 1 names no column `prompt`"),
        ("x.csv", "prompt\n=1+1|cmd", "Line 2 begins as a formula does"),
        ("x.csv", "prompt,mood\ngood row,x\nother,y", "“mood”, which is not one of"),
    ],
)
def test_what_is_taken_in_a_certain_way_is_said(name: str, text: str, why: str) -> None:
    found = read_set(text, name)
    assert why in sentences(found)
    assert [note.left_out for note in found.notes] == [False]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("", "The set is empty"),
        (" \n\t\r\n", "The set is empty"),
        (b"x" * (MAX_SET_BYTES + 1), "at most 2,097,152 are read"),
        (b"10 MB in one line " * 600_000, "at most 2,097,152 are read"),
        (b"\xff\xfa\x80", "not UTF-8"),
        ("\0\n\0", "No row can be used. Line 1 has a `prompt` with a NUL"),
    ],
)
def test_a_set_without_rows_is_refused_in_a_sentence(data: bytes | str, why: str) -> None:
    with pytest.raises(AnalysisError, match=why):
        read_set(data, "x.txt")


def test_right_to_left_and_utf16_are_text_like_any_other() -> None:
    text = "prompt\nשלום עולם \u202eabc\nمرحبا"
    assert read_set(text.encode("utf-16"), "x.csv").prompts == ("שלום עולם \u202eabc", "مرحبا")


def test_rows_beyond_the_limit_are_counted_and_notes_are_bounded() -> None:
    found = read_set("\n".join(f"row {i}" for i in range(MAX_ROWS + 5)), "x.txt")
    assert len(found.rows) == MAX_ROWS
    assert "5 more rows follow" in sentences(found)
    noisy = read_set("prompt\ngood\n" + "a,b\n" * 500, "x.csv")
    assert len(noisy.notes) == MAX_NOTES + 1
    assert "449 others" in noisy.notes[-1].sentence


def test_the_hash_is_of_the_rows_and_of_nothing_else() -> None:
    rows = (PromptRow("a b", answer="c"),)
    assert PromptSet("one", rows).hash == PromptSet("two", rows).hash
    assert PromptSet("one", rows).hash != PromptSet("one", (PromptRow("a b", foil="c"),)).hash


def test_rows_of_one_length_are_one_batch_and_keep_their_order(bundled: HeadModel) -> None:
    rows = tuple(PromptRow(text) for text in ("the dog", "the old dog", "the cat", "a b c d e"))
    fitted = fit_set(bundled, PromptSet("x", rows))
    assert sorted(int(i) for batch in fitted.batches for i in batch.rows) == [0, 1, 2, 3]
    for batch in fitted.batches:
        for place, row in enumerate(batch.rows):
            alone = tokenize(bundled, rows[row].prompt)
            assert np.array_equal(alone.ids[0], batch.tokens.ids[place])
            assert batch.places["end"][place] == alone.length - 1


def test_an_answer_takes_a_space_where_a_word_would(bundled: HeadModel) -> None:
    def token(prompt: str, text: str) -> str:
        return bundled.tokenizer.decode([next_token(bundled, prompt, text)])

    assert token("gave it to", "John") == " John"
    assert token("gave it to", " John") == " John"
    assert token("gave it to ", "him") == "him"
    assert token("the year 17", "3") == "3"
    assert token("he said", ",") == ","


def test_what_the_model_cannot_take_is_left_out_with_its_row(bundled: HeadModel) -> None:
    rows = (
        PromptRow("he said to", answer="John", foil="Mary"),
        PromptRow("he said to", answer="Nebuchadnezzar"),
        PromptRow("he said to", answer="John", foil=" John"),
        PromptRow("word " * 600),
        PromptRow("he saw it", places=(Place("it", "her"),)),
    )
    fitted = fit_set(bundled, PromptSet("x", rows))
    assert [row.index for row in fitted.rows] == [0]
    said = [note.sentence for note in fitted.notes]
    assert "Row 2 is left out: “Nebuchadnezzar” is" in said[0]
    assert "same token" in said[1] and "takes 512" in said[2]
    assert "stand 0 times in the prompt" in said[3]
    with pytest.raises(AnalysisError, match="No row of y can be used"):
        fit_set(bundled, PromptSet("y", rows[1:]))


def test_places_are_found_by_their_tokens_or_where_the_set_marks_them(bundled: HeadModel) -> None:
    text = "John and Mary went home, John gave it to"
    marks = (Place("it", "it"), Place("second", "John", 2))
    rows = (PromptRow(text, None, "Mary", "John", marks),)
    (row,) = fit_set(bundled, PromptSet("x", rows)).rows
    at = {name: bundled.tokenizer.decode([row.ids[i]]) for name, i in row.places.items()}
    assert at == {"end": " to", "answer": " Mary", "subject": "hn", "subject again": " John"} | {
        "after subject": " and",
        "it": " it",
        "second": " John",
    }
    assert row.places["second"] == row.places["subject again"] > row.places["subject"]


@pytest.mark.parametrize("key", BUILT_IN)
def test_a_built_in_set_has_answers_of_one_token_or_says_why_not(
    bundled: HeadModel, key: str
) -> None:
    try:
        drawn = builtin_set(token_counts(bundled), key, 20)
    except AnalysisError as refusal:
        assert "this model's tokenizer has" in str(refusal)
        assert key in ("capital-of", "brackets")
        return
    fitted = fit_set(bundled, drawn)
    assert len(fitted.rows) == len(drawn.rows) >= 20 and not fitted.notes
    assert fitted.has_foils
    assert builtin_set(token_counts(bundled), key, 10).rows == drawn.rows[:10]
    assert builtin_set(token_counts(bundled), key, 20, seed=1).hash != drawn.hash
    for row in fitted.rows:
        assert row.corrupt is None or len(row.corrupt) == len(row.ids)


def test_the_metric_of_a_row_is_that_of_its_prompt_alone(bundled: HeadModel) -> None:
    prompts = prompt_set(bundled, ["the dog ran", "he saw the old dog", "a big dog"])
    values = set_metric(bundled, fit_set(bundled, prompts)).values
    losses = [next_token_stats(bundled, tokenize(bundled, text)).loss for text in prompts.prompts]
    assert values == pytest.approx(losses, abs=1e-5)


def test_a_set_can_come_from_a_file_a_name_or_rows(bundled: HeadModel, tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    file.write_text("prompt,answer\nhe said to,John\nhe said to,Nebuchadnezzar\n")
    found = prompt_set(bundled, file)
    assert found.answers == ("John",) and "Nebuchadnezzar" in sentences(found)
    assert len(prompt_set(bundled, "plural", count=5).rows) == 5
    with pytest.raises(AnalysisError, match="No set is called 'plurals'"):
        prompt_set(bundled, "plurals")
