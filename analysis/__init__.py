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
    "SourceAttribution": "sources",
    "source_attribution": "sources",
    "similar_heads": "similarity",
    "Ablation": "ablation",
    "AblationEstimate": "ablation",
    "HeadAblation": "ablation",
    "PairAblation": "ablation",
    "SetAblation": "ablation",
    "TopHeads": "ablation",
    "ablate_head": "ablation",
    "ablate_heads": "ablation",
    "ablation_estimate": "ablation",
    "ablation_sweep": "ablation",
    "pair_ablation": "ablation",
    "top_heads": "ablation",
    "PatchMap": "patching",
    "PathMap": "patching",
    "PromptPair": "patching",
    "activation_patching": "patching",
    "attribution_patching": "patching",
    "path_patching": "patching",
    "prompt_pair": "patching",
    "Edge": "edges",
    "EdgeAttribution": "edges",
    "Faithfulness": "edges",
    "Reader": "edges",
    "edge_attribution": "edges",
    "faithfulness": "edges",
    "Copying": "copying",
    "KeyQueryMatch": "copying",
    "k_composition_circuit": "copying",
    "ov_copying": "copying",
    "Circuit": "circuits",
    "OVSample": "circuits",
    "TokenOutputs": "circuits",
    "TokenPreferences": "circuits",
    "ov_sample": "circuits",
    "ov_top_tokens": "circuits",
    "previous_token_circuit": "circuits",
    "qk_preferences": "circuits",
    "Eigenvalues": "spectra",
    "FactoredFacts": "spectra",
    "FactoredTiming": "spectra",
    "OVDecomposition": "spectra",
    "SingularDirection": "spectra",
    "factored_matrix_facts": "spectra",
    "ov_eigenvalues": "spectra",
    "ov_svd": "spectra",
    "time_factored": "spectra",
    "Baseline": "composition",
    "Composition": "composition",
    "composition_scores": "composition",
    "random_baseline": "composition",
    "Decomposition": "decomposition",
    "ScoreSplit": "decomposition",
    "k_composition": "decomposition",
    "score_split": "decomposition",
    "OffsetAblation": "knockout",
    "TargetedAblation": "knockout",
    "keep_only": "knockout",
    "offset_ablation": "knockout",
    "targeted_ablation": "knockout",
    "Activation": "activations",
    "HookPoint": "activations",
    "Parameter": "activations",
    "PatternCheck": "activations",
    "activation": "activations",
    "hook_points": "activations",
    "parameters": "activations",
    "verify_pattern": "activations",
    "NeuronActivations": "neurons",
    "neuron_activations": "neurons",
    "promoted_tokens": "neurons",
    "TokenRanking": "ranking",
    "Weights": "weights",
    "circuit_weights": "weights",
}

__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'analysis' has no attribute {name!r}")
    return getattr(import_module(f"analysis.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
