"""Chat templates are programs of strangers: whatever they do ends, and is said in one sentence."""

import pytest

from analysis.errors import AnalysisError
from analysis.models import template as own
from analysis.models.rendering import rendered
from analysis.models.template import Job, render

HELLO = [Job((("user", "Hello"),), True)]
ENDLESS = "{% for i in range(9999) %}{% for j in range(9999) %}{% for k in range(9999) %}"
DOUBLED = "{% set n = namespace(x='a') %}{% for i in range(40) %}{% set n.x = n.x ~ n.x %}"


def outcome(template):
    try:
        found = render(template, {}, HELLO, "toy")[0]
    except AnalysisError as refusal:
        return refusal
    return found


def expect_refused(template, sentence):
    found = outcome(template)
    assert isinstance(found, AnalysisError)
    assert sentence in str(found)
    assert "\n" not in str(found)


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{{ 'a' * 10**9 }}", "takes more memory than it may have"),
        (DOUBLED + "{% endfor %}{{ n.x }}", "takes more memory than it may have"),
        (ENDLESS + "{% endfor %}" * 3, "takes more than 3 seconds"),
    ],
)
def test_a_template_that_would_take_all_is_stopped_with_one_sentence(template, sentence):
    expect_refused(template, sentence)


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recursion"),
        ("{{ 'ab' * 90000 }}", "writes more than 100,000 characters"),
        ("{% if %}", "cannot be read"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ cycler.__init__.__globals__.os.popen('id').read() }}", "unsafe"),
        ("{% include '/etc/passwd' %}", "no loader"),
        ("{{ raise_exception('no\x00\nno') }}", "“no  no”"),
    ],
)
def test_what_a_template_may_not_do_is_refused_with_one_sentence(monkeypatch, template, sentence):
    """In this process, which these do no harm."""
    monkeypatch.setattr(own, "_in_its_process", lambda asked, name: rendered(asked))
    expect_refused(template, sentence)


def test_a_template_knows_the_turns_and_the_special_tokens():
    template = "{{ bos }}{% for m in messages %}{{ m.role }}{{ m.content }}{% endfor %}"
    jobs = [*HELLO, Job((("system", "a"), ("user", "b")), False)]
    assert render(template, {"bos": "<s>"}, jobs, "toy") == ["<s>userHello", "<s>systemauserb"]


def test_one_rendering_that_fails_leaves_the_others():
    template = "{% if messages[0].role == 'system' %}{{ raise_exception('x') }}{% endif %}a"
    good, bad = render(template, {}, [*HELLO, Job((("system", "a"),), True)], "toy")
    assert good == "a"
    assert isinstance(bad, AnalysisError)
