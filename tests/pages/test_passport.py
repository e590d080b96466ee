"""Roles in a head's passport: by their verdict, or as what is still to be tested."""

from tests.pages.test_first_minute import sentence
from tests.pages.test_pages import Open, expect_well, open_at

__all__ = ["open_at"]

SET = {"model": "gelu-4l", "set": "repeated-name", "rows": "8", "layer": "3"}
TEST_IT = "whether it matters as “induction on text”: test it"


def links(app) -> dict[str, str]:  # noqa: ANN001
    return {link.proto.label: link.proto.query_string for link in app.main.get("page_link")}


def test_a_role_stands_in_the_passport_once_it_has_a_verdict(open_at: Open) -> None:
    head = {**SET, "head": "5"}
    new = open_at("head", **head, seed="7")
    expect_well(new)
    assert "role" not in sentence(new)
    assert "which roles it looks like, and whether it matters" in links(new)

    screened = open_at("roles", **SET, role="induction-on-text", seed="7")
    expect_well(screened)
    seen = open_at("head", **head, seed="7")
    assert "role" not in sentence(seen)
    asked = links(seen)[TEST_IT]
    for part in ("role=induction-on-text", "group=L3H5", "judge=1", "set=repeated-name"):
        assert part in asked

    tested = open_at("roles", **SET, role="induction-on-text", group="L3H5", judge="1", seed="7")
    expect_well(tested)
    (word,) = [each.value[4:] for each in tested.markdown if each.value.startswith("### ")]
    known = open_at("head", **head, seed="7")
    said = sentence(known)
    assert "on 8 prompts of the set repeated-name looks like the role “induction on text”" in said
    assert f"is a {word.lower()}: the logit difference changes by [" in said
    assert "random groups have" in said
    assert "](roles?" in said and "group=L3H5" in said
    assert TEST_IT not in links(known)
