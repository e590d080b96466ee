"""Properties that are found once: nobody waits for another instance's."""

import threading
from pathlib import Path

import pytest

from analysis.kept import kept_property

ROOT = Path(__file__).parents[2]


class Meets:
    """Its value is found once another instance's is being found."""

    def __init__(self, barrier: threading.Barrier):
        self._barrier, self.found = barrier, 0

    @kept_property
    def value(self) -> int:
        """How often it was found."""
        self._barrier.wait(10)
        self.found += 1
        return self.found


def test_two_instances_find_their_values_at_once_and_keep_them() -> None:
    barrier = threading.Barrier(2)
    both = Meets(barrier), Meets(barrier)
    threads = [threading.Thread(target=lambda each=each: each.value) for each in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(each.value, each.value, each.found) for each in both] == [(1, 1, 1), (1, 1, 1)]


@pytest.mark.parametrize("house", ["analysis", "app", "headscope", "pages"])
def test_no_property_holds_one_lock_for_all(house: str) -> None:
    uses = [path.name for path in (ROOT / house).rglob("*.py") if "cached_prop" in path.read_text()]
    assert uses == (["kept.py"] if house == "analysis" else [])
