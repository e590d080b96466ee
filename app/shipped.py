"""What comes with a model so that the first picture waits for no library: its first view's results.

    python -m app.shipped

writes them again, as they must be when weights or a definition have changed (a test says so).
"""

from types import MappingProxyType

from analysis.catalog import list_models
from app import backend
from app.selection import PARAMETERS, Selection
from app.stored import shipped_file, to_bytes


def compute_first_view(selection: Selection) -> None:
    """All that the attention page asks for at its defaults."""
    backend.tokens_of(selection)
    backend.scores(selection)
    backend.patterns(selection, 0, tuple(range(selection.info.n_layers)))


def first_view() -> Selection:
    """The attention page as it opens, on the first model of the list."""
    values = MappingProxyType({parameter.key: parameter.default for parameter in PARAMETERS})
    return Selection("attention", values, list_models()[0])


def main() -> None:
    """Write the files, and no others."""
    selection = first_view()
    folder = selection.info.folder
    for old in (folder / "views").glob("*.npz"):
        old.unlink()
    (folder / "views").mkdir(exist_ok=True)
    compute_first_view(selection)
    for question, value in backend.remembered():
        data = to_bytes(question, value)
        assert data is not None
        shipped_file(folder, question).write_bytes(data)


if __name__ == "__main__":
    main()
