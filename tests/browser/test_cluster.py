"""Two real processes behind a real proxy, with a real Redis: a room over both while parts fail."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from deploy.cluster import Cluster, cluster, missing
from tests.browser.conftest import WINDOW, open_from_menu, wait_until_done

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(bool(missing()), reason=missing() or "all is here"),
]
COOKIE = "headscope_replica"
# A busy machine, on which a process has just started.
PATIENCE = 90_000
LOST_TOUCH = "This server has lost touch with what it shares with others."


@pytest.fixture
def running() -> Iterator[Cluster]:
    with cluster(2) as started:
        yield started


def name_of(running: Cluster, number: int) -> str:
    """What the proxy calls a process in its cookie."""
    return f"r{running.addresses[number].rpartition(':')[2]}"


@pytest.fixture
def visit(browser: Browser, running: Cluster) -> Iterator[Callable[[int], Page]]:
    """`visit(number)`: a new visitor, whom the proxy sends to that process."""
    contexts = []

    def come(number: int) -> Page:
        # Not `open_page`: what is killed on purpose is an error in the browser's console.
        context = browser.new_context(viewport=WINDOW)
        contexts.append(context)
        cookie = {"name": COOKIE, "value": name_of(running, number), "url": running.address}
        context.add_cookies([cookie])  # type: ignore[list-item]
        return context.new_page()

    yield come
    for context in contexts:
        context.close()


def wait_for_process(page: Page, name: str) -> None:
    """Wait until the visitor's page is drawn by that process."""
    connected = "() => document.querySelector('[data-test-connection-state=CONNECTED]')"
    for _ in range(PATIENCE // 50):
        if name in {cookie.get("value") for cookie in page.context.cookies()}:
            break
        page.wait_for_timeout(50)  # lets the browser go on; there is no event for a cookie
    page.wait_for_function(connected, timeout=PATIENCE)
    wait_until_done(page)


def test_a_room_goes_on_whichever_part_of_the_cluster_fails(
    running: Cluster, visit: Callable[[int], Page]
) -> None:
    presenter, follower = visit(0), visit(1)
    presenter.goto(f"{running.address}/glossary?seed=3")
    wait_until_done(presenter)
    presenter.get_by_role("button", name="Present", exact=True).click()
    with presenter.expect_response(re.compile("/room-key")):
        presenter.get_by_role("button", name="Open a room").click()
    room = presenter.locator(".st-key-room-bar").get_by_role("button", name="following")
    expect(room).to_be_visible(timeout=PATIENCE)
    link = presenter.get_by_text(re.compile(r"\?room=")).first.inner_text().strip()
    presenter.keyboard.press("Escape")
    wait_until_done(presenter)

    # Opened on one, followed on the other.
    follower.goto(link)
    following = follower.get_by_text("Following the presenter.")
    expect(follower).to_have_url(re.compile("/glossary.*seed=3"), timeout=PATIENCE)
    expect(following).to_be_visible(timeout=PATIENCE)
    names = [name_of(running, number) for number in (0, 1)]
    for page, name in zip((presenter, follower), names, strict=True):
        assert name in {cookie.get("value") for cookie in page.context.cookies()}
    open_from_menu(presenter, "learn")
    expect(follower).to_have_url(re.compile("/learn.*seed=3"), timeout=PATIENCE)
    wait_until_done(follower)
    wait_until_done(presenter)

    # The follower's process is killed: at the same view, and in the room still.
    running.replicas[1].kill()
    wait_for_process(follower, names[0])
    assert re.search("/learn.*seed=3", follower.url)
    expect(following).to_be_visible(timeout=PATIENCE)
    open_from_menu(presenter, "glossary")
    expect(follower).to_have_url(re.compile("/glossary.*seed=3"), timeout=PATIENCE)
    wait_until_done(follower)
    wait_until_done(presenter)

    # The other one is back, and knows the room; then the process of both is killed.
    running.replicas[1].start()
    running.replicas[1].wait()
    late = visit(1)
    late.goto(link)
    expect(late).to_have_url(re.compile("/glossary.*seed=3"), timeout=PATIENCE)
    running.replicas[0].kill()
    wait_for_process(presenter, names[1])
    wait_for_process(follower, names[1])
    assert re.search("/glossary.*seed=3", presenter.url)
    expect(room).to_be_visible(timeout=PATIENCE)
    open_from_menu(presenter, "learn")
    for page in (follower, late):
        expect(page).to_have_url(re.compile("/learn.*seed=3"), timeout=PATIENCE)
    wait_until_done(presenter)

    # Redis is killed: pages go on and say so; and all is shared again when it is back.
    running.replicas[0].start()
    running.replicas[0].wait()
    running.redis.kill()
    open_from_menu(presenter, "glossary")
    expect(presenter.get_by_text(LOST_TOUCH)).to_be_visible(timeout=PATIENCE)
    for page in (follower, late):
        expect(page).to_have_url(re.compile("/glossary.*seed=3"), timeout=PATIENCE)
    running.redis.start()
    running.redis.wait()
    newest = visit(0)
    newest.goto(link)
    expect(newest).to_have_url(re.compile("/glossary.*seed=3"), timeout=PATIENCE)
    wait_until_done(presenter)
    open_from_menu(presenter, "learn")
    expect(newest).to_have_url(re.compile("/learn.*seed=3"), timeout=PATIENCE)
    expect(presenter.get_by_text(LOST_TOUCH)).to_have_count(0, timeout=PATIENCE)
