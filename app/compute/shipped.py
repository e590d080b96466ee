"""What comes with a model so that the first picture waits for no library: its first view's results.

    python -m app.compute.shipped

writes them again, as they must be when weights or a definition have changed (a test says so).
"""

from types import MappingProxyType

from analysis.models.catalog import list_models
from app.compute import calls
from app.compute.ask import remembered
from app.compute.stored import shipped_file, to_bytes
from app.links.parameters import PARAMETERS
from app.links.selection import Selection


def compute_first_view(selection: Selection) -> None:
    """All that the attention page asks for at its defaults."""
    calls.tokens_of(selection)
    calls.scores(selection)
    calls.patterns(selection, 0, tuple(range(selection.info.n_layers)))


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
    for question, value in remembered():
        data = to_bytes(question, value)
        assert data is not None
        shipped_file(folder, question).write_bytes(data)


if __name__ == "__main__":
    main()
