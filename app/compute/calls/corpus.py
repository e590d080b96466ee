"""Questions about whole texts: answered in the background, and kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

import analysis
from analysis.head import Head
from analysis.limits import WINDOW
from analysis.models.catalog import find_model
from app.compute.ask import Progress, ask, ask_at_once, bytes_needed, key_of, known_by, remember
from app.compute.background import Shared, Step
from app.compute.calls.ablation import ABLATE_HEAD
from app.compute.calls.tokens import TEXTS_OF_IDS
from app.compute.imports import import_all
from app.compute.question import Question
from app.compute.server import Server, current_server
from app.compute.texts import Text
from app.compute.visitor import Nobody
from app.compute.workers.pieces import Job
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.heads.corpus.batches import WindowBatch, WindowsRead
    from analysis.heads.corpus.results import CorpusScan, KeptWindow
    from analysis.heads.corpus.scan import CorpusReader, ScanStep
    from analysis.models.info import ModelInfo

SEED = 0
TEXT_WINDOWS = Question("text_windows", lambda: analysis.text_windows, logits="none")


def known_scan(selection: Selection, text: Text) -> CorpusScan | None:
    """What all heads do over a text, if that is known; computes nothing."""
    found: CorpusScan | None = known_by(_key(selection.info, text), selection.info)
    return found


def corpus_scan(selection: Selection, text: Text) -> Shared[CorpusScan]:
    """The reading of a text by all heads, which goes on while somebody watches it."""
    info, server = selection.info, current_server()
    key = _key(info, text)
    # What has been read stays when the work stops, and lets go of the model.
    begun: list[CorpusReader] = []

    def read(
        last: Step[CorpusScan] | None, pause: Callable[[], None]
    ) -> Generator[Step[CorpusScan], None, None]:
        with server.used(), server.admission.admitted(_bytes_of(info), Nobody()):
            import_all()
            server.bring(info)
            found = find_model(info.name)  # what it was found to be when it was loaded
            if not begun:
                windows = ask_at_once(TEXT_WINDOWS, found, text.parts, min(WINDOW, found.n_ctx))
                begun.append(analysis.CorpusReader(found, windows, SEED))
            reader = begun[0]
            for step in _steps(server, found, reader, pause):
                if step.done == step.total:
                    remember(key, step.scan)
                    begun.clear()
                yield Step(step.scan, step.done, step.total)

    return Shared(server.scans, key, read)


def _steps(
    server: Server, info: ModelInfo, reader: CorpusReader, pause: Callable[[], None]
) -> Generator[ScanStep, None, None]:
    """What a reader has still to read, here or by workers."""
    engine = server.engine
    if engine is None:
        return analysis.read_on(server.models.get(info, Nobody()), reader)
    job = Job("windows", info, (reader.window,))

    def run(batches: Iterator[WindowBatch]) -> Iterator[WindowsRead]:
        return engine.map(job, ((batch,) for batch in batches), pause)

    def texts(ids: Sequence[int]) -> tuple[str, ...]:
        return ask_at_once(TEXTS_OF_IDS, info, tuple(ids))

    return analysis.steps_of(texts, reader, run)


def read_whole(selection: Selection, text: Text) -> CorpusScan:
    """What all heads do over a text; waits for it."""
    if (scan := known_scan(selection, text)) is None:
        (last,) = deque(corpus_scan(selection, text).work(None, lambda: None), maxlen=1)
        scan = last.value
    return scan


def window_losses(
    selection: Selection, head: Head, windows: Sequence[KeptWindow], progress: Progress
) -> dict[int, np.ndarray]:
    """By window, how much more each next token costs without a head; NaN at the last position.

    `progress` may raise to cancel; what has been found by then is remembered.
    """
    found = {}
    for done, window in enumerate(windows):
        progress(done, len(windows))
        labels = (("",) * len(window.ids),)
        tokens = analysis.Tokens(window.ids[None], labels, None, has_bos=selection.info.has_bos)
        effect = ask(ABLATE_HEAD, selection.info, tokens, head, "zero", seed=0)
        found[window.number] = np.append(effect.per_token, np.float32(np.nan))
    return found


def _key(info: ModelInfo, text: Text) -> Hashable:
    return key_of("corpus_scan", info, (text.digest, min(WINDOW, info.n_ctx), SEED))


def _bytes_of(info: ModelInfo) -> int:
    """Memory of a reading: of one run, of sums by token, and of the windows that are kept twice."""
    heads, window = info.n_layers * info.n_heads, min(WINDOW, info.n_ctx)
    return bytes_needed(info, (1, window)) + 16 * heads * info.d_vocab + 2 * heads * 900 * window
