"""A class that follows a presenter: how soon pages move, and what the room costs while it rests.

Claim: with 30 followers on 2 cores and the bundled model, 95 of 100 followers' pages have asked for
the presenter's new view within 1 s of the presenter's asking for it, and at rest the questions of
all followers take less than 10 % of one core.

    [REPLICAS=2] python -m bench.rooms [--quick]

Real websocket sessions (`bench.visitors`), and for each follower what a browser does beside one: it
asks `/room-version` every 0.8 s, and opens the new view once that has changed. "Asked for" is that
moment, "finished" the end of the page's run on the server; drawing in a browser is in neither.
All followers ask at once and the numbers of a view are computed once for all, but each follower's
page runs by itself. `--quick`: 5 followers, 3 moves. With REPLICAS=2 two processes serve behind the
proxy of `make cluster`, and 95 of 100 pages are to be finished within 4 s.
"""

from __future__ import annotations

import json
import random
import re
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, RemoteDisconnected
from urllib.parse import unquote, urlencode, urlsplit

import numpy as np

from bench.load import memory, processor_time
from bench.visitors import PATIENCE, Visitor, free_port, replicas, served_by, visit

EVERY = 0.8  # seconds between two questions, see app/shell/follow_room.js
REST = 20.0
MAX_SECONDS, MAX_SHARE = 1.0, 0.10
FINISHED = 4.0  # seconds, with more than one process
PAGES = ("tokens", "attention", "induction", "head")


@dataclass
class Lesson:
    """What the presenter shows now, and how long each follower took to see it."""

    code: str
    page: str = "tokens"
    query: dict[str, str] = field(default_factory=dict)
    began: float = 0.0
    over: bool = False
    ready: list[int] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)
    finished: list[float] = field(default_factory=list)


def follow(address: str, lesson: Lesson, number: int) -> None:
    """One follower, from joining to the end of the lesson."""
    draw = random.Random(number)
    time.sleep(draw.uniform(0, EVERY))
    questions = HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE)
    with visit(address) as visitor:
        page = visitor.open(lesson.page, {"room": lesson.code})
        assert "follow_room" in visitor.told, f"the room is not followed: {page.alerts}"
        who = json.loads(visitor.told["follow_room"])["who"]
        path = f"/room-version?{urlencode({'code': lesson.code, 'who': who})}"
        seen = ""
        while not lesson.over:
            version = ask(questions, path, visitor.cookie)
            if seen and version != seen:
                lesson.asked.append(time.perf_counter() - lesson.began)
                # The server shuts a connection that rests for long; a browser opens another.
                questions.close()
                visitor.open(lesson.page, lesson.query)
                lesson.finished.append(time.perf_counter() - lesson.began)
            elif not seen:
                lesson.ready.append(number)
            seen = version
            time.sleep(EVERY)
    questions.close()


def ask(questions: HTTPConnection, path: str, cookie: str) -> str:
    """What a browser reads there; like one it connects again where its line has rested too long."""
    for last in (False, True):
        try:
            questions.request("GET", path, headers={"Cookie": cookie})
            return questions.getresponse().read().decode()
        except (RemoteDisconnected, ConnectionResetError):
            questions.close()
            if last:
                raise
    raise AssertionError


def open_room(visitor: Visitor) -> str:
    """Press the button; the code of the room."""
    visitor.open("tokens")
    visitor.open("tokens", press="Open a room")
    found = [re.search(r"[?&]room=([\w%-]+)", text) for text in visitor.code]
    return next(unquote(match[1]) for match in found if match)


def cpu_share(pids: Sequence[int], seconds: float) -> float:
    """Share of one core that the server's processes take meanwhile."""
    before = processor_time(*pids)
    time.sleep(seconds)
    return (processor_time(*pids) - before) / seconds


@dataclass(frozen=True)
class Rest:
    """What a room costs while nothing moves: shares of a core, and bytes."""

    alone: float
    resting: float
    size: int
    grown: int


def hold(
    count: int, followers: int, moves: int, rest: float = 1.0
) -> tuple[Lesson, Rest, float, float]:
    """A lesson with so many processes and moves.

    Returns:
        What followers saw; what it costs at rest, measured for so many seconds; seconds of a core
        that the moves took on the servers, and of the clock.
    """
    used = clock = 0.0
    with served_by(count, free_port()) as (address, pids), visit(address) as presenter:
        lesson = Lesson(open_room(presenter))
        alone, size = cpu_share(pids, rest / 2), memory(*pids)
        crowd = [
            threading.Thread(target=follow, args=(address, lesson, i), daemon=True)
            for i in range(followers)
        ]
        for thread in crowd:
            thread.start()
        while len(lesson.ready) < followers:
            assert all(thread.is_alive() for thread in crowd), "a follower is lost"
            time.sleep(0.1)
        resting = cpu_share(pids, rest)
        for move in range(moves):
            lesson.page, lesson.query = PAGES[move % len(PAGES)], {"seed": str(move + 1)}
            lesson.query["input"] = "repeated"
            before, lesson.began = processor_time(*pids), time.perf_counter()
            presenter.open(lesson.page, lesson.query)
            while len(lesson.finished) < (move + 1) * followers:
                assert all(thread.is_alive() for thread in crowd), "a follower is lost"
                time.sleep(0.05)
            used += processor_time(*pids) - before
            clock += time.perf_counter() - lesson.began
            time.sleep(EVERY)
        grown = memory(*pids)
        lesson.over = True
        for thread in crowd:
            thread.join()
    return lesson, Rest(alone, resting, size, grown), used, clock


def main(followers: int, moves: int) -> int:
    """Print the table, and whether each part of the claim holds."""
    count = replicas()
    lesson, rest, used, clock = hold(count, followers, moves, REST)
    pages = moves * (followers + 1)
    print(f"  a page takes {used / pages:.3f} s of a core; {used / clock:.2f} cores were had")
    for name, seconds in (("asked for", lesson.asked), ("finished", lesson.finished)):
        middle, late = np.percentile(seconds, [50, 95])
        print(f"  page {name}: median {middle:.2f} s, p95 {late:.2f} s, last {max(seconds):.2f} s")
    print(
        f"  memory {rest.size / 2**20:,.0f} MiB before, "
        f"{rest.grown / 2**20:,.0f} with all followers"
    )
    p95 = float(np.percentile(lesson.asked, 95))
    held = {
        f"p95 of {len(lesson.asked)} pages asked for after {p95:.2f} s (at most {MAX_SECONDS:g})": (
            p95 <= MAX_SECONDS
        ),
        f"at rest {rest.resting:.1%} of a core with {followers} followers, "
        f"{rest.alone:.1%} without (at most {MAX_SHARE:.0%})": rest.resting <= MAX_SHARE,
    }
    if count > 1:
        late = float(np.percentile(lesson.finished, 95))
        held[f"p95 of pages finished after {late:.2f} s (at most {FINISHED:g})"] = late <= FINISHED
    for claim, holds in held.items():
        print(f"{'holds' if holds else 'FAILS'}  {claim}")
    return 0 if all(held.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main(5, 3) if "--quick" in sys.argv[1:] else main(30, 12))
