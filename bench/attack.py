"""One visitor against all others: what a second visitor waits for, and what memory is taken.

Claim: while one network address works, reloads, uploads, exports and takes rooms as fast as it can,
a second visitor's pages take at most three times as long as alone (medians), memory stays below
2 GB, and 50 other hosts can open rooms.

    python -m bench.attack [--baseline REV]

Real websocket sessions (`bench.visitors`) with the public settings less their folder, at most three
minutes. Everything runs on one machine, attackers included, and who they are is told as a proxy on
it would; the second visitor is a process of their own, and waits for the server alone and not for
what Python does for the attackers. It cannot show what a network in front would have stopped, nor
what many addresses can do. `--baseline` serves another commit.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from websockets.exceptions import WebSocketException

from bench.load import Peak, memory
from bench.pages import checkout
from bench.visitors import ROOT, Visitor, free_port, served, visit

ATTACKER, SECOND = "192.0.2.1", "198.51.100.9"
TIMES, MAX_MEMORY = 3.0, 2 * 2**30
PAGES = ("tokens", "attention", "attribution")
# Seconds of an attack before the second visitor looks, and visits meanwhile.
HEAD_START, VISITS = 4.0, 18
TABS, RELOADING, ROOMS, HOSTS, NAMES = 20, 30, 53, 50, 300
WORDS = ("the", "old", "house", "by", "a", "sea", "and", "her", "father", "told", "one", "girl")
_numbers = count()
Attack = Callable[[str, threading.Event, int], None]


def prompt(words: int) -> str:
    """A text that nobody has asked about."""
    number = next(_numbers)
    return " ".join([f"{number} ", *(WORDS[(i * (number + 1)) % len(WORDS)] for i in range(words))])


def new_pages(address: str, visits: int = VISITS) -> list[float]:
    """Seconds of the second visitor's pages, none of which anybody has opened."""
    with visit(address, SECOND) as second:
        found = []
        for number in range(visits):
            page = second.open(
                PAGES[number % len(PAGES)], {"input": "prompt", "prompt": prompt(20)}
            )
            assert not page.alerts, page.alerts
            found.append(page.seconds)
        return found


def glossary(address: str) -> list[float]:
    """Seconds of a page without numbers."""
    with visit(address, SECOND) as second:
        return [second.open("glossary").seconds for _ in range(VISITS)]


def patches(address: str, over: threading.Event, number: int) -> None:
    """A tab that patches all there is to patch, one pair of prompts after the other."""
    while not over.is_set():
        clean = prompt(60)
        query = {"model": "gelu-4l", "patch": "z", "exact": "all"}
        query |= {"clean": clean, "corrupt": clean.replace("house", "girl")}
        with visit(address, ATTACKER) as tab:
            tab.open("patching", query)


def reloads(address: str, over: threading.Event, number: int) -> None:
    """A tab that is loaded anew all the time."""
    while not over.is_set():
        with visit(address, ATTACKER) as tab:
            tab.open(PAGES[number % len(PAGES)], {"input": "repeated"})


@contextmanager
def attacked(address: str, attack: Attack, tabs: int) -> Iterator[None]:
    """So many tabs at it."""
    over = threading.Event()

    def go_on(number: int) -> None:
        # A connection that the server or the end of the attack cuts.
        with suppress(OSError, TimeoutError, WebSocketException):
            attack(address, over, number)

    threads = [threading.Thread(target=go_on, args=(n,), daemon=True) for n in range(tabs)]
    for thread in threads:
        thread.start()
    time.sleep(HEAD_START)
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(20)


def fill_uploads(address: str) -> int:
    """400 files of 1 MB to one's own session; how many were taken."""
    taken = 0
    with visit(address, ATTACKER) as tab:
        tab.open("tokens")
        web = HTTPConnection(urlsplit(address).netloc, timeout=30)
        web.request("GET", "/_stcore/health")
        answer = web.getresponse()
        answer.read()
        token = (answer.getheader("Set-Cookie") or "").partition(";")[0].partition("=")[2]
        head = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.json"\r\n\r\n'
        body = head + bytes(2**20 - 2000) + b"\r\n--x--\r\n"
        headers = {"Content-Type": "multipart/form-data; boundary=x", "X-Forwarded-For": ATTACKER}
        headers |= {"X-Xsrftoken": token, "Cookie": f"_streamlit_xsrf={token}"}
        for number in range(400):
            path = f"/_stcore/upload_file/{tab.session}/{number}"
            try:
                web.request("PUT", path, body, headers)
                answer = web.getresponse()
                answer.read()
            except OSError:  # refused before the body was sent
                web.close()
                continue
            taken += answer.status == 204
            if answer.status != 204:
                web.close()
    return taken


def export_all(address: str) -> tuple[int, int]:
    """Six tabs that each press for a file of a million rows: how many were made, how large."""
    sizes = []

    def press(tab: Visitor) -> None:
        with suppress(OSError, TimeoutError, WebSocketException):
            if url := tab.download("CSV"):
                with urllib.request.urlopen(f"{address}{url}", timeout=60) as answer:
                    sizes.append(len(answer.read()))

    query = {"model": "gelu-4l", "input": "repeated", "length": "120", "batch": "1"}
    with ExitStack() as stack:
        tabs = [stack.enter_context(visit(address, ATTACKER)) for _ in range(6)]
        for number, tab in enumerate(tabs):
            tab.open("attention", {**query, "seed": str(number)})
            tab.open("attention", {**query, "seed": str(number)}, unfold="Export")
        threads = [threading.Thread(target=press, args=(tab,), daemon=True) for tab in tabs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    return len(sizes), sum(sizes)


def type_too_much(address: str) -> None:
    """Ten tabs that type 20 MB each."""
    with ExitStack() as stack:
        for _ in range(10):
            tab = stack.enter_context(visit(address, ATTACKER))
            tab.open("tokens", {"input": "prompt"})
            with suppress(OSError, WebSocketException):
                tab.type("Prompt", "word " * 4_000_000)
        time.sleep(3)


def open_room(visitor: Visitor) -> str:
    """The code of a new room; empty where there is none."""
    visitor.code.clear()
    visitor.open("glossary")
    visitor.open("glossary", press="Open a room")
    codes = [text.partition("room=")[2][:16] for text in visitor.code if "room=" in text]
    return codes[0] if codes else ""


def take_rooms(address: str) -> tuple[int, int, int, bool]:
    """Rooms that one address gets, that other hosts get beside it, and names that fill one.

    Last, whether somebody can still join that one.
    """
    with ExitStack() as stack:
        greedy = 0
        for _ in range(ROOMS):
            greedy += bool(open_room(stack.enter_context(visit(address, ATTACKER))))
        codes = []
        for number in range(HOSTS):
            host = stack.enter_context(visit(address, f"203.0.113.{number}"))
            codes.append(open_room(host))
        opened = [code for code in codes if code]
        if not opened:
            return greedy, 0, 0, False
        web, counted = HTTPConnection(urlsplit(address).netloc, timeout=30), 0
        for number in range(NAMES):
            web.request("GET", f"/room-version?{urlencode({'code': opened[0], 'who': number})}")
            answer = web.getresponse()
            answer.read()
            counted += answer.status == 200
        guest = stack.enter_context(visit(address, SECOND))
        page = guest.open("glossary", {"room": opened[0]})
        return greedy, len(opened), counted, not page.alerts


def main(baseline: str | None) -> int:
    """Print the table, and whether each part of the claim holds."""
    held: dict[str, bool] = {}
    with ExitStack() as stack:
        folder = stack.enter_context(checkout(baseline)) if baseline else ROOT
        settings = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "public.toml"
        public = (folder / "deploy" / "public.toml").read_text(encoding="utf-8")
        settings.write_text(public.replace('cache_folder = "/cache"', ""), encoding="utf-8")
        serving = served(free_port(), {"HEADSCOPE_CONFIG": str(settings)}, folder)
        address, process = stack.enter_context(serving)
        with visit(address, SECOND) as first:
            for page in ("patching", *PAGES):
                first.open(page, {"model": "gelu-4l"})
                first.open(page)
        peak, before = Peak(process.pid), memory(process.pid)

        second = stack.enter_context(ProcessPoolExecutor(1, get_context("spawn")))

        def compared(
            what: str, look: Callable[[str], list[float]], attack: Attack, tabs: int
        ) -> None:
            alone = second.submit(look, address).result()
            with attacked(address, attack, tabs):
                under = second.submit(look, address).result()
            usual, slow = statistics.median(alone), statistics.median(under)
            ratio = slow / usual
            print(
                f"  {what}: median {usual:.2f} s alone, {slow:.2f} s under attack (worst "
                f"{max(under):.2f} s)",
                flush=True,
            )
            held[f"{what}: {ratio:.1f} times as long ({slow:.2f} s)"] = ratio <= TIMES

        compared(f"{TABS} tabs patch", new_pages, patches, TABS)
        compared(f"{RELOADING} tabs reload", glossary, reloads, RELOADING)
        taken = fill_uploads(address)
        made, size = export_all(address)
        type_too_much(address)
        greedy, opened, counted, joins = take_rooms(address)
        highest = peak.end()
    print(f"  {taken} of 400 uploads taken; {made} of 6 exports made, {size / 1e6:.0f} MB")
    print(f"  {greedy} of {ROOMS} rooms for one address, {opened} of {HOSTS} for other hosts")
    print(f"  {counted} of {NAMES} made-up names counted; somebody else joins: {joins}")
    print(f"  memory {before / 2**20:,.0f} MiB before, {highest / 2**20:,.0f} MiB at most")
    held |= {
        f"{opened} of {HOSTS} other hosts opened a room": opened == HOSTS,
        f"{counted} made-up names took a place": not counted and joins,
        f"at most {highest / 2**20:,.0f} MiB of memory": highest <= MAX_MEMORY,
    }
    for claim, holds in held.items():
        print(f"{'holds' if holds else 'FAILS'}  {claim}")
    return 0 if all(held.values()) else 1


if __name__ == "__main__":
    asked = argparse.ArgumentParser(prog="python -m bench.attack")
    asked.add_argument("--baseline", help="a commit to attack instead of this checkout")
    raise SystemExit(main(asked.parse_args().baseline))
