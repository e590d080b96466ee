"""One folder of results for several processes: what one keeps the others find, damage included."""

import subprocess
import sys
from pathlib import Path

from app.compute.stored import ResultFolder

ROOT = Path(__file__).parents[2]
# Opens the folder together with others, keeps and asks, and says what it has not found.
WORKER = """
import sys
from pathlib import Path
from app.compute.stored import ResultFolder

name, others = sys.argv[2], sys.argv[3:]
print("ready", flush=True)
sys.stdin.readline()
folder = ResultFolder(Path(sys.argv[1]), 2**24)
for number in range(40):
    folder.keep(f"{name} {number}", f"{name} {number}".encode() * 5000)
print("kept", flush=True)
for line in sys.stdin:
    which, _, count = line.rpartition(" ")
    found = [folder.get(f"{which} {number}") for number in range(int(count))]
    right = [each == f"{which} {n}".encode() * 5000 for n, each in enumerate(found)]
    wrong = [each for each, good in zip(found, right) if each is not None and not good]
    print(sum(right), len(wrong), flush=True)
    folder.keep("after " + name + " 0", ("after " + name + " 0").encode() * 5000)
"""


class Worker:
    """A process of its own that uses the folder."""

    def __init__(self, folder: Path, name: str):
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )

    def told(self) -> str:
        """What it prints next."""
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def tell(self, line: str) -> None:
        """Let it go on."""
        assert self.process.stdin
        print(line, file=self.process.stdin, flush=True)

    def finds(self, name: str, count: int = 40) -> tuple[int, int]:
        """Of that many results of a worker: found as they were, and found otherwise."""
        self.tell(f"{name} {count}")
        right, wrong = map(int, self.told().split())
        return right, wrong


def test_processes_share_a_folder_and_begin_a_damaged_one_anew_together(tmp_path: Path) -> None:
    """Each set aside what the other had begun, and went on writing where nobody looked."""
    workers = [Worker(tmp_path, name) for name in ("a", "b")]
    try:
        for what in ("ready", "kept"):
            assert [worker.told() for worker in workers] == [what, what]
            if what == "ready":
                for worker in workers:  # both at once in a folder that is not there yet
                    worker.tell("go")
        assert workers[0].finds("b") == workers[1].finds("a") == (40, 0)
        for file in (tmp_path / "cache.db", tmp_path / "cache.db-wal"):
            with file.open("r+b") as damaged:
                damaged.write(b"not a database " * (file.stat().st_size // 15 + 1))
        for _ in range(3):
            assert {worker.finds("a")[1] for worker in workers} == {0}
        assert (tmp_path / "damaged").exists()
        # Both are in the same folder again, and so is who comes new.
        assert workers[0].finds("after b", 1) == workers[1].finds("after a", 1) == (1, 0)
        assert ResultFolder(tmp_path, 2**24).get("after a 0") == b"after a 0" * 5000
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.communicate()
