"""Headscope in a notebook and on the command line.

`headscope.show` draws attention heads in a notebook, `headscope.compare` two patterns beside each
other; `headscope.patterns_of` runs a model of Hugging Face's; `headscope.app` opens the app on a
model that is in memory. They are imported on first use: this package by itself imports neither
torch nor Streamlit.
"""

from typing import Any

__version__ = "0.1.0"
__all__ = ["app", "compare", "patterns_of", "show"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "app":
        from headscope.dashboard import open_dashboard

        return open_dashboard
    from headscope.inside import import_inside

    return getattr(import_inside("app.notebook"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
