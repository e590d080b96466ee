"""Paths that begin with a person's home."""

import os
from pathlib import Path


def at_home(path: str) -> Path:
    """A path whose `~` is somebody's home; as it is where they have none, as a shell leaves it."""
    # Path.expanduser and Path.home raise there: in a container whose user has no name, for example.
    return Path(os.path.expanduser(path))
