"""Where the app is: its copy in the installed package, or the clone that this package stands in."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent
_INSTALLED = _HERE / "_app"
# The folder of `app/`, `pages/`, `analysis/` and `models/`.
ROOT = _INSTALLED if _INSTALLED.is_dir() else _HERE.parent
