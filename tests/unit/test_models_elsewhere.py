"""Models that live with workers: the same answers, which are told of, stopped and given in turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

import analysis
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.models.catalog import find_model
from analysis.models.files import fingerprint
from analysis.models.info import ENCODER, Turn, load_elsewhere
from app.compute import calls
from app.compute.ask import ask
from app.compute.calls.by_name import questions
from app.compute.calls.heads import ATTENTION_PATTERNS
from app.compute.question import Question
from app.compute.server import Server
from app.compute.texts import Text
from app.compute.visitor import Nobody
from app.compute.workers.crew import LOOK, Crew
from app.compute.workers.messages import packed, unpacked
from app.compute.workers.office import PATIENT, OwnOffice, Taken, Wanted
from app.compute.workers.pieces import Asked
from app.compute.workers.serve import load
from app.compute.workers.workshop import Workshop, facts_of
from app.config import Config
from app.links.selection import Selection
from app.links.subject import Subject
from tests.elsewhere import Here, models_elsewhere
from tests.views import view

INFO = find_model("attn-only-2l")
OTHER = find_model("gelu-4l")
PROMPT = "The cat sat on the mat. The cat sat"
TEXT = " ".join(f"word {number % 7} of {number}," for number in range(300))


def nothing(*told: object) -> None:
    """Goes on."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with models_elsewhere() as (server, _):
        yield server


def on_prompt(page: str = "attention", **values: Any) -> Selection:
    return view(page, model=INFO.name, input="prompt", prompt=PROMPT, **values)


def pair_patched() -> object:
    selection = view("patching", model=INFO.name)
    clean, corrupt = calls.patched_prompts(selection)
    answer, foil = (calls.single_token(selection, f" {name}") for name in ("Mary", "John"))
    pair = calls.prompt_pair(selection, clean, corrupt, answer, foil)
    return calls.activation_patching(selection, pair, "z", ((0, 1), (1, 3)), nothing)


ANSWERS: dict[str, Callable[[], object]] = {
    "patterns": lambda: calls.patterns(on_prompt(), 0, (0, 1)),
    "scores": lambda: calls.scores(view("induction", model=INFO.name, length=20, batch=3)),
    "labels": lambda: calls.token_labels(on_prompt(), np.array([[11, 12], [13, 14]])),
    "attribution": lambda: calls.attribution(on_prompt("attribution"), 0, None, None),
    "copying": lambda: calls.ov_copying(on_prompt(), (Head(1, 4),), nothing),
    "pair": pair_patched,
    "verdict": lambda: calls.verdict(
        view("roles", model=INFO.name, rows=6, method="zero"), (Head(1, 0),), False, nothing
    ),
    "no group": lambda: calls.verdict(
        view("roles", model=INFO.name, rows=6, method="zero"), (), False, nothing
    ),
    "sweep": lambda: calls.ablation_sweep(
        view("ablation", model=INFO.name, length=10, batch=2), "zero"
    ).wait(nothing).values(INFO),
    "text": lambda: calls.read_whole(view("corpus", model=INFO.name), Text("a text", (TEXT,))),
}  # fmt: skip


def same(one: Any, other: Any) -> None:
    """As `numpy.testing.assert_allclose`, also of results within results."""
    assert type(one) is type(other) or isinstance(one, dict)
    if hasattr(one, "__dataclass_fields__"):
        for field in fields(one):
            same(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, tuple | list) and not all(isinstance(each, float) for each in one):
        assert len(one) == len(other)
        for each, its in zip(one, other, strict=True):
            same(each, its)
    elif isinstance(one, np.ndarray | float | tuple) and not isinstance(one, str):
        np.testing.assert_allclose(one, other, atol=2e-5, equal_nan=True)
    elif hasattr(one, "items"):
        same(list(map(tuple, one.items())), list(map(tuple, other.items())))
    else:
        assert one == other


@pytest.mark.parametrize("name", ANSWERS)
def test_a_question_is_answered_as_by_a_model_of_this_process(server: Server, name: str) -> None:
    with server.used():
        found = ANSWERS[name]()
    with Server(Config()).used():
        same(found, ANSWERS[name]())


def test_others_draw_while_a_page_waits_for_a_worker(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []

    class Waiting(Nobody):
        def steps_aside(self) -> None:
            happened.append("aside")

        def comes_back(self) -> None:
            happened.append("back")

    monkeypatch.setattr(server, "visitor", Waiting)
    with server.used():
        calls.token_labels(on_prompt(), np.array([[21]]))
    assert happened == ["aside", "back"]


def test_what_is_refused_is_the_same_sentence(server: Server) -> None:
    said = []
    for each in (server, Server(Config())):
        with each.used(), pytest.raises(AnalysisError) as caught:
            calls.single_token(on_prompt(), "several words of it")
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_text_is_shown_as_it_is_written(server: Server) -> None:
    about = Subject(on_prompt("intervene", write=40), head=Head(0, 0))
    done: list[tuple[int, int]] = []
    parts: list[int] = []
    with server.used():
        tokens = calls.tokens_of(about.selection)
        found = calls.written(
            about, tokens, lambda *now: done.append(now), lambda now: parts.append(now.count)
        )
    assert parts == sorted(parts)
    assert done
    assert parts[-1] <= found.count == done[-1][1]


def test_a_worker_says_what_its_model_was_found_to_be(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt = []
    monkeypatch.setattr("app.compute.workers.crew.learn", learnt.append)
    with models_elsewhere(1) as (fresh, loaded):
        assert fresh.engine is not None
        fresh.bring(INFO)
        fresh.bring(INFO)
        assert [name for _, name in loaded] == [INFO.name]
        assert fresh.engine.met == {fingerprint(INFO): None}  # nothing else runs our own format
    model = analysis.load_model(INFO.name, device="cpu")
    assert learnt == [replace(model.info, folder=INFO.folder)]


def test_whatever_a_model_was_found_to_be_can_be_told() -> None:
    turns = (Turn("halves", norm_last=False), Turn("none", norm_last=True))
    found = replace(INFO, traits=ENCODER, turns=turns, scales=(0.125, float("nan")), step=7)
    (_, told) = unpacked(packed("met", facts_of(found)))
    learnt = replace(INFO, **told)
    assert str(learnt) == str(found)  # NaN is not itself
    assert learnt.turns == turns


def test_what_fits_is_known_where_models_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.models.info.machine_memory", lambda: 2**20)
    assert not INFO.fits
    monkeypatch.setattr("analysis.models.info._elsewhere", False)  # as it is again afterwards
    load_elsewhere()
    assert INFO.fits
    monkeypatch.setattr("app.compute.workers.serve.most_weights", lambda config, on_gpu: 2**20)
    with pytest.raises(AnalysisError, match="loaded models may take 1 MB on this server"):
        load(INFO.name)


def test_a_refused_model_is_not_loaded_again_for_each_who_asks() -> None:
    loaded: list[str] = []

    def load(name: str) -> analysis.HeadModel:
        loaded.append(name)
        if name == OTHER.name:
            raise AnalysisError("It is no good.")
        return analysis.load_model(name, device="cpu")

    shop = Workshop(load, questions())
    for info, said in ((OTHER, "refused"), (INFO, "met"), (OTHER, "refused"), (INFO, "met")):
        what, *rest = unpacked(shop.answer(packed("meet", info.name, fingerprint(info))))
        assert what == said
        if said == "refused":
            assert rest == ["It is no good.", False]
    assert loaded == [OTHER.name, INFO.name]


def test_who_waits_is_told_when_a_worker_loads_a_model_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []

    class Told(Nobody):
        def loads(self, title: str, nbytes: int) -> None:
            told.append(f"loads {title}")

        def starts(self, what: str) -> None:
            told.append(what)

        def ends(self) -> None:
            told.append("ends")

    def slowly(function: Callable[..., Any]) -> Callable[..., Any]:
        def slow(*arguments: Any, **options: Any) -> Any:
            time.sleep(4 * LOOK)
            return function(*arguments, **options)

        return slow

    patterns = questions()["attention_patterns"]
    asked = Question(patterns.name, lambda: slowly(analysis.attention_patterns), logits="none")
    monkeypatch.setitem(questions(), patterns.name, asked)
    monkeypatch.setattr(analysis, "load_model", slowly(analysis.load_model))
    tokens = analysis.tokenize(analysis.load_model(INFO.name, device="cpu"), PROMPT)
    with models_elsewhere(1) as (server, _), server.used():
        server.visitor = Told
        ask(ATTENTION_PATTERNS, INFO, tokens, (0,))
    loading, running = f"loads {INFO.title}", f"Running {INFO.title} on {tokens.length} tokens…"
    assert told.count(loading) > 1
    assert [each for each in told if each != loading] == [running, "ends", "ends", running, "ends"]


def slow(model: object, seconds: float, progress: Callable[[int, int], None]) -> int:
    """Does nothing for a while, and tells of it after the first few looks."""
    time.sleep(4 * LOOK)
    for step in range(int(seconds / 0.02)):
        progress(step, int(seconds / 0.02))
        time.sleep(0.02)
    return 7


@pytest.fixture
def slow_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(questions(), "slow", Question("slow", lambda: slow))


@pytest.mark.usefixtures("slow_question")
def test_who_leaves_stops_what_a_worker_does() -> None:
    class Left(Exception):
        pass

    def leave(done: int, total: int, found: object) -> None:
        told.append(total)
        if done:
            raise Left

    told: list[int] = []
    with models_elsewhere(1) as (server, _):
        crew = server.engine
        assert isinstance(crew, Crew)
        crew.meet(INFO, nothing)
        begun = time.monotonic()
        with pytest.raises(Left):
            crew.ask(Asked("slow", INFO, (600.0,), {}, ("progress",)), nothing, leave)
        # The only worker is there for the next who asks.
        asked = Asked("texts_of_ids", INFO, ((11,),), {}, ())
        assert len(crew.ask(asked, nothing)) == 1
        assert time.monotonic() - begun < 60
    assert set(told) == {30_000}  # nothing is told before the question tells it


@pytest.mark.usefixtures("slow_question")
def test_long_questions_leave_a_worker_to_short_ones() -> None:
    with models_elsewhere(2) as (server, _):
        crew = server.engine
        assert isinstance(crew, Crew)
        stop = threading.Event()

        def until_stopped(*told: object) -> None:
            if stop.is_set():
                raise InterruptedError

        def long() -> None:
            with pytest.raises(InterruptedError):
                crew.ask(Asked("slow", INFO, (600.0,), {}, ("progress",)), until_stopped, nothing)

        threads = [threading.Thread(target=long) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            asked = Asked("texts_of_ids", INFO, ((11,),), {}, ())
            assert len(crew.ask(asked, nothing)) == 1
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)


def test_a_model_is_asked_of_who_has_it() -> None:
    with models_elsewhere(2) as (server, loaded), server.used():
        crew = server.engine
        assert isinstance(crew, Crew)
        for info in (INFO, OTHER, INFO, OTHER, INFO, OTHER):
            crew.ask(Asked("texts_of_ids", info, ((11,),), {}, ()), nothing)
        assert sorted(name for _, name in loaded) == sorted([INFO.name, OTHER.name])


class Hired:
    """A worker that is only given out."""

    def ask(self, data: bytes) -> bytes:
        """Nobody asks."""
        raise NotImplementedError

    def look(self, data: bytes) -> None:
        """It does not say."""

    def close(self) -> None:
        """Nothing to end."""


def taken_from(office: OwnOffice, model: str, **options: bool) -> Taken:
    taken = office.take(Wanted(model, model, **options))
    assert taken is not None
    return taken


def test_a_worker_is_given_to_who_wants_its_model_and_else_the_one_used_least_recently() -> None:
    office = OwnOffice(Hired, 2)
    one, other = taken_from(office, "one"), taken_from(office, "other")
    office.give_back(one.number, "one")
    office.give_back(other.number, "other")
    assert taken_from(office, "other").worker is other.worker
    third = taken_from(office, "third")
    assert third.worker is one.worker
    assert third.has == "one"


def test_who_waits_for_a_model_takes_another_worker_after_a_while() -> None:
    office = OwnOffice(Hired, 2)
    one, other = taken_from(office, "one"), taken_from(office, "other")
    office.give_back(other.number, "other")
    begun = time.monotonic()
    late = taken_from(office, "one")
    assert time.monotonic() - begun >= PATIENT
    assert (late.worker, late.has) == (other.worker, "other")
    soon = threading.Timer(0.1, lambda: office.give_back(one.number, "one"))
    soon.start()
    assert taken_from(office, "one").worker is one.worker


def test_first_come_those_of_pages_and_before_them_those_whose_worker_was_lost() -> None:
    office = OwnOffice(Hired, 1)
    at_work = taken_from(office, "at work")
    order: list[str] = []

    def wait(model: str, **options: bool) -> None:
        taken = taken_from(office, model, **options)
        order.append(model)
        office.give_back(taken.number, None)

    waiting: list[dict[str, Any]] = [
        {"model": "piece"},
        {"model": "page", "first": True},
        {"model": "piece again", "again": True},
        {"model": "page again", "first": True, "again": True},
    ]
    threads = [threading.Thread(target=wait, kwargs=each) for each in waiting]
    for count, thread in enumerate(threads, 1):
        thread.start()
        while len(office) < count:
            time.sleep(0.01)
    office.give_back(at_work.number, None)
    for thread in threads:
        thread.join(30)
    assert order == ["page again", "page", "piece again", "piece"]


def test_what_is_dropped_before_the_office_hears_of_it_is_not_begun() -> None:
    returned = threading.Event()
    given: list[str | None] = []

    class Late(OwnOffice):
        def take(self, wanted: Wanted) -> Taken | None:
            assert left.wait(30)
            return super().take(wanted)

        def give_back(self, number: int, has: str | None) -> None:
            super().give_back(number, has)
            given.append(has)
            returned.set()

    def leave(loading: bool) -> None:
        raise InterruptedError

    left = threading.Event()
    crew = Crew(Late(Hired, 1))
    with pytest.raises(InterruptedError):
        crew.meet(INFO, leave)
    left.set()
    assert returned.wait(30)
    assert given == [""]  # one that had been asked would count as lost: it cannot answer


def test_of_two_workers_one_is_kept_free_of_what_is_long() -> None:
    office = OwnOffice(Hired, 2)
    first = taken_from(office, "first", long=True)
    found: list[Taken | None] = []
    other = threading.Thread(
        target=lambda: found.append(office.take(Wanted("other", "other", long=True)))
    )
    other.start()
    while not len(office):
        time.sleep(0.01)
    office.give_back(taken_from(office, "short").number, "short")
    assert not found
    office.drop("other")
    other.join(30)
    assert found == [None]
    office.give_back(first.number, "first")
    taken_from(office, "other", long=True)


def test_a_look_at_what_is_over_stops_nothing() -> None:
    here = Here()
    assert unpacked(here.look(packed("look", "0123", True))) == ("elsewhere",)
    mark = fingerprint(INFO)
    asked = packed("ask", "4567", INFO.name, mark, "texts_of_ids", ((11,),), {}, ())
    what, answer = unpacked(here.ask(asked))
    assert what == "answer"
    assert len(answer) == 1
