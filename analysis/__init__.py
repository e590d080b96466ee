"""Attention-head analysis without a user interface: import it from a notebook.

Public names are resolved on first use, so that a caller that needs only the light modules
(`analysis.definitions`, `analysis.catalog`) does not wait for torch and TransformerLens.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "AnalysisError": "errors",
    "Head": "heads",
    "ModelInfo": "catalog",
    "list_models": "catalog",
    "HeadModel": "models",
    "load_model": "models",
    "Tokens": "inputs",
    "tokenize": "inputs",
    "repeated_tokens": "inputs",
    "token_text": "inputs",
    "Patterns": "patterns",
    "attention_patterns": "patterns",
    "NextTokenStats": "predictions",
    "next_token_stats": "predictions",
    "HeadScores": "scores",
    "head_scores": "scores",
    "Attribution": "attribution",
    "logit_attribution": "attribution",
    "Ablation": "ablation",
    "ablation_sweep": "ablation",
}

__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'analysis' has no attribute {name!r}")
    return getattr(import_module(f"analysis.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
