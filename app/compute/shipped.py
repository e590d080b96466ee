"""What comes with a bundled model, so that a page waits for no library to be imported.

That are the scores of all its heads, what these do over the text that comes with the app, and of
the first model also what the first views show: of the start page and of attention.

    python -m app.compute.shipped

writes them again, as they must be when weights or a definition have changed (a test says so).
"""

from collections.abc import Iterator
from types import MappingProxyType

from analysis.models.catalog import BUNDLED, list_models
from analysis.models.info import ModelInfo
from app.compute import calls, texts
from app.compute.ask import remembered
from app.compute.server import Server
from app.compute.stored import shipped_file, to_bytes
from app.config import Config
from app.links.parameters import PARAMETERS
from app.links.selection import Selection


def bundled_models() -> Iterator[ModelInfo]:
    """The models that come with the app."""
    return (info for info in list_models() if info.folder.parent == BUNDLED)


def compute_shipped(info: ModelInfo) -> None:
    """All that comes with a model."""
    calls.model_scores(info)
    view = first_view()
    calls.read_whole(view.with_values(model=info.name), texts.shipped())
    if info == view.info:
        compute_first_view(view)
        compute_first_view(start_view())


def compute_first_view(selection: Selection) -> None:
    """All that the attention page, or the start page, asks for at its defaults."""
    calls.tokens_of(selection)
    calls.scores(selection)
    calls.patterns(selection, 0, tuple(range(selection.info.n_layers)))


def first_view() -> Selection:
    """The attention page as it opens, on the first model of the list."""
    return _as_it_opens("attention")


def start_view() -> Selection:
    """The start page as it opens, likewise."""
    return _as_it_opens("start")


def _as_it_opens(page: str) -> Selection:
    values = {parameter.key: parameter.default_on(page) for parameter in PARAMETERS}
    return Selection(page, MappingProxyType(values), list_models()[0])


def write(info: ModelInfo) -> None:
    """Write the files of one model, and no others."""
    folder = info.folder / "views"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.npz"):
        old.unlink()
    # A server of its own remembers what is asked here and nothing else.
    with Server(Config()).used():
        compute_shipped(info)
        for question, value in remembered():
            data = to_bytes(question, value)
            assert data is not None
            shipped_file(info.folder, question).write_bytes(data)


if __name__ == "__main__":
    for bundled in bundled_models():
        write(bundled)
