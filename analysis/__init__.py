"""Attention-head analysis without a user interface: import it from a notebook.

Public names, which `__init__.pyi` lists, are resolved on first use, so that a caller that needs
only the light modules (`analysis.definitions`, `analysis.models.catalog`) does not wait for torch
and TransformerLens.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
