"""Calls into `analysis`: models loaded once, results shared by all visitors, bounded.

Imports torch and TransformerLens on first use only, so that the first screen does not wait for
them. Nothing here calls Streamlit, so nothing of it runs inside a lock or a shared computation.
"""

from __future__ import annotations

import gc
import logging
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

import analysis
from analysis.catalog import ModelInfo, find_model, fingerprint, machine_memory
from analysis.definitions import SCORES
from analysis.errors import AnalysisError
from analysis.heads import Head, all_heads
from analysis.limits import MAX_BYTES
from app.admission import Admission, Nobody, RateLimit, visitor
from app.config import settings
from app.loaded_models import LoadedModels
from app.memory import return_memory
from app.mosaic_store import ModelScores, Mosaic
from app.selection import Selection
from app.shared_cache import SharedCache, nbytes
from app.stored import ResultFolder, from_bytes, key_text, shipped_file, to_bytes
from app.sweeps import SharedSweep, Sweeps

if TYPE_CHECKING:
    from analysis.ablation import AblationEstimate, HeadAblation, PairAblation, SetAblation
    from analysis.activations import Activation, HookPoint, Parameter, PatternCheck
    from analysis.attribution import Attribution
    from analysis.catalog import ModelInfo
    from analysis.circuits import Circuit, OVSample, TokenOutputs, TokenPreferences
    from analysis.composition import Composition
    from analysis.copying import Copying, KeyQueryMatch
    from analysis.decomposition import Decomposition, ScoreSplit
    from analysis.distances import RestingAttention
    from analysis.edges import Edge, EdgeAttribution, Faithfulness
    from analysis.inputs import Tokens
    from analysis.knockout import OffsetAblation, TargetedAblation
    from analysis.lens import Lens
    from analysis.models import HeadModel
    from analysis.neurons import NeuronActivations, NeuronPeaks
    from analysis.patching import Input, PatchKind, PatchMap, PathMap, PromptPair
    from analysis.patterns import Patterns
    from analysis.predictions import NextTokenStats
    from analysis.ranking import TokenRanking
    from analysis.scores import HeadScores
    from analysis.sources import SourceAttribution
    from analysis.spectra import Eigenvalues, FactoredFacts, FactoredTiming, OVDecomposition

Progress = Callable[[int, int], None]

# Part of every key: raise it when a definition in `analysis` changes what a number means.
DEFINITION_VERSION = 1
# Seconds after the first page.
WARM_UP_AFTER = 2.0
# Seconds; it takes a few hundredths of one.
TIDY_EVERY = 60.0
# A model runs one thing at a time; a second sweep can be of another model.
MAX_SWEEPS_AT_ONCE = 2
MAX_SWEEPS = 32
# Of the main memory, for loaded models: as for `ModelInfo.fits`.
SHARE_OF_MEMORY = 2 / 3
# What one request may run through the model.
MAX_TOKENS = settings().max_tokens
# Enough work to be measured, and no more than a second or two of it with a large vocabulary.
TIMED_ROWS = 256
# Tokens times patches times parameters: about two minutes of one visitor's patches.
MAX_PATCH_WORK = 5 * 10**12
# Numbers in the patterns of all heads on one prompt, 64 MiB; three copies are held at once.
MAX_PATTERN_NUMBERS = 2**24
# Numbers in what all heads write to the stream, 256 MiB: edges are found from all of them.
MAX_WRITTEN_NUMBERS = 2**26

_log = logging.getLogger("headscope")
_importing = threading.Lock()
_models = LoadedModels(
    settings().models_in_memory,
    settings().models_mb * 2**20 or int(machine_memory() * SHARE_OF_MEMORY),
    load=lambda info: _engine().load_model(info.name),
)
_results = SharedCache(settings().cache_mb * 2**20, size_of=nbytes)
_admission = Admission(
    settings().memory_mb * 2**20, settings().computations_at_once, settings().max_waiting
)
_rate = RateLimit(settings().computations_per_minute)
# Opening many tabs does not multiply it.
_address_rate = RateLimit(settings().computations_per_minute_and_address, "each network address")
_sweeps = Sweeps(MAX_SWEEPS_AT_ONCE, MAX_SWEEPS)


@cache
def warm_up(name: str) -> None:
    """Load the model called `name` in the background, while the visitor reads the first page."""

    def load() -> None:
        # An import holds up the server while the browser still fetches the page's scripts.
        time.sleep(WARM_UP_AFTER)
        _model(find_model(name))

    threading.Thread(target=load, daemon=True, name="warm-up").start()


def model_of(selection: Selection) -> HeadModel:
    """The loaded model of a view."""
    return _model(selection.info)


def tokens_of(selection: Selection) -> Tokens:
    """The tokens a view is about: its prompt, or its repeated tokens.

    Raises:
        AnalysisError: The input is not usable; the sentence says what to change.
    """
    if selection["input"] == "prompt":
        tokens: Tokens = _result(
            selection, "tokenize", selection["prompt"], prepend_bos=selection.bos
        )
        if tokens.length > MAX_TOKENS:
            raise AnalysisError(
                f"The prompt has {tokens.length:,} tokens; at most {MAX_TOKENS:,} are run at once. "
                "Shorten it."
            )
        return tokens
    length, batch, seed = selection["length"], selection["batch"], selection["seed"]
    if batch * (2 * length + 1) > MAX_TOKENS:
        raise AnalysisError(
            f"{batch} sequences of {2 * length + 1} tokens are {batch * (2 * length + 1):,} "
            f"tokens; at most {MAX_TOKENS:,} are run at once. Take fewer sequences or a smaller S."
        )
    return _result(selection, "repeated_tokens", length, batch, seed)


def patterns(
    selection: Selection,
    sequence: int,
    layers: tuple[int, ...],
    without: tuple[Head, ...] = (),
) -> Patterns:
    """Attention patterns of one of the view's sequences, batch of 1; `without` ablates heads."""
    return _of_sequence(selection, sequence, "attention_patterns", layers, without)


def scores(selection: Selection, without: tuple[Head, ...] = ()) -> HeadScores:
    """Every head's scores on the view's tokens; `without` ablates heads."""
    return _of_tokens(selection, "head_scores", without=without)


def loss(selection: Selection, without: tuple[Head, ...] = ()) -> float:
    """Loss on the view's tokens, nats per token; on their second half if they are repeated."""
    kept = tuple(head for head in all_heads(selection.info) if head not in without)
    return _of_tokens(selection, "keep_only", kept)


def reference_scores(selection: Selection) -> HeadScores:
    """Every head's scores on the course's repeated tokens, whatever the input of the view.

    Only there does every head show what it is, and what a page picks by them does not jump while
    a prompt is typed.
    """
    length = min(50, (selection.info.n_ctx - 1) // 2)
    return scores(selection.with_values(input="repeated", length=length, batch=10, seed=0))


def mosaic(infos: Sequence[ModelInfo]) -> dict[str, ModelScores | str | None]:
    """The scores of whole models, as far as they are known; see `Mosaic.watch`."""
    return _mosaic.watch(infos)


def next_token_stats(selection: Selection) -> NextTokenStats:
    """Next-token predictions on the view's tokens."""
    return _of_tokens(selection, "next_token_stats")


def logit_lens(selection: Selection, sequence: int) -> Lens:
    """What one of the view's sequences would be predicted to go on with after each layer."""
    return _of_sequence(selection, sequence, "logit_lens")


def distance_profile(selection: Selection) -> np.ndarray:
    """Mean attention of every head by distance, [layer, head, distance]."""
    return _over_layers(selection, "distance_profile")


def resting_attention(selection: Selection) -> RestingAttention:
    """Mean attention of every head to the first token, in each half of repeated tokens."""
    return _over_layers(selection, "resting_attention")


def attribution(
    selection: Selection, sequence: int, answer: int | None, foil: int | None
) -> Attribution:
    """Direct logit attribution on one of the view's sequences."""
    return _of_sequence(selection, sequence, "logit_attribution", targets=answer, foils=foil)


def ablation_sweep(selection: Selection, method: str) -> SharedSweep:
    """The sweep over all heads on the view's tokens, which goes on while somebody watches it."""
    return _sweep(selection, tokens_of(selection), method)


def paired_sweep(selection: Selection) -> SharedSweep:
    """Mean ablation of every head on pairs of the view's repeated tokens."""
    length, batch, seed = selection["length"], selection["batch"], selection["seed"]
    return _sweep(selection, _result(selection, "paired_tokens", length, batch, seed), "mean")


def ablation_estimate(selection: Selection, method: str) -> AblationEstimate:
    """First-order estimate of that sweep."""
    return _estimate(selection, tokens_of(selection), method)


def joint_ablation(selection: Selection, heads: tuple[Head, ...], method: str) -> SetAblation:
    """Effect of ablating some heads together on the view's tokens."""
    return _of_tokens(selection, "ablate_heads", heads, method, seed=_swap(selection, method))


def pair_ablation(
    selection: Selection, heads: tuple[Head, ...], method: str, progress: Progress
) -> PairAblation:
    """Effects of heads alone and two at a time; `progress` may raise to cancel."""
    seed = _swap(selection, method)
    return _of_tokens(selection, "pair_ablation", heads, method, progress=progress, seed=seed)


def offset_ablation(
    selection: Selection, layer: int, kept: tuple[tuple[int, ...], ...], progress: Progress
) -> OffsetAblation:
    """Loss when each head of a layer may read some distances only."""
    return _of_tokens(selection, "offset_ablation", layer, kept, progress=progress)


def head_ablation(selection: Selection, head: Head, method: str) -> HeadAblation:
    """One head's entry of the ablation sweep, with its effect on every prediction."""
    return _of_tokens(selection, "ablate_head", head, method, seed=_swap(selection, method))


def source_attribution(
    selection: Selection, sequence: int, head: Head, answer: int | None, foil: int | None
) -> SourceAttribution:
    """One head's logit attribution on one of the view's sequences, by source token."""
    return _of_sequence(selection, sequence, "source_attribution", head, targets=answer, foils=foil)


def score_split(selection: Selection, sequence: int, head: Head, dest: int, src: int) -> ScoreSplit:
    """One attention score on one of the view's sequences, by upstream component."""
    return _of_sequence(selection, sequence, "score_split", head, dest, src)


def ov_copying(
    selection: Selection, heads: tuple[Head, ...], progress: Progress | None = None
) -> Copying:
    """OV copying accuracy of heads, jointly; `progress` may raise to cancel it."""
    return _result(selection, "ov_copying", heads, progress=progress)


def ov_sample(selection: Selection, heads: tuple[Head, ...]) -> OVSample:
    """The OV circuit of heads, jointly, on the tokens that the view draws."""
    size = min(selection["sample"], selection.info.d_vocab)
    return _result(selection, "ov_sample", heads, size=size, seed=selection["draw"])


def ov_eigenvalues(selection: Selection) -> Eigenvalues:
    """Eigenvalue copying scores of all heads."""
    return _result(selection, "ov_eigenvalues")


def ov_top_tokens(selection: Selection, head: Head, token_id: int) -> TokenOutputs:
    """What attending to a token writes."""
    return _result(selection, "ov_top_tokens", head, token_id)


def qk_preferences(selection: Selection, head: Head, token_id: int) -> TokenPreferences:
    """What a token looks for as a query, and what looks for it as a key."""
    return _result(selection, "qk_preferences", head, token_id)


def ov_svd(selection: Selection, head: Head, n: int, top: int) -> OVDecomposition:
    """The strongest singular directions of one head's OV."""
    return _result(selection, "ov_svd", head, n=min(n, selection.info.d_head), top=top)


def factored_facts(selection: Selection) -> FactoredFacts:
    """What the OV circuit of one head takes, written out and factored."""
    return _result(selection, "factored_matrix_facts")


def factored_timing(selection: Selection, head: Head, again: bool) -> FactoredTiming:
    """The same, measured here; `again` measures anew instead of showing what was measured."""
    rows = min(TIMED_ROWS, selection.info.d_vocab)
    if again:
        return _engine().time_factored(model_of(selection), head, rows=rows, repeats=7)
    return _result(selection, "time_factored", head, rows=rows, repeats=7)


def previous_token_circuit(selection: Selection, head: Head) -> Circuit:
    """Where a head would look if it saw positions only."""
    return _result(selection, "previous_token_circuit", head.layer, head.head)


def k_composition_circuit(
    selection: Selection, writer: Head, reader: Head, progress: Progress
) -> KeyQueryMatch:
    """Whether a token's query finds the key that `writer` wrote about it, and the other way."""
    return _result(selection, "k_composition_circuit", writer, reader, progress=progress)


def decomposition(selection: Selection, head: Head) -> Decomposition:
    """A head's queries and keys on the view's tokens, by upstream component."""
    return _of_tokens(selection, "k_composition", head.layer, head.head)


def targeted_ablation(selection: Selection, target: Head, progress: Progress) -> TargetedAblation:
    """The target's induction score without each earlier head; `progress` may raise to cancel."""
    return _of_tokens(selection, "targeted_ablation", target, progress=progress)


def composition(selection: Selection, kind: str) -> Composition:
    """Composition scores of all pairs of heads."""
    return _result(selection, "composition_scores", kind)


def patched_prompts(selection: Selection) -> tuple[Tokens, Tokens]:
    """The tokens of the view's clean and corrupt prompt.

    Raises:
        AnalysisError: One of them is not usable, or too long for the patterns of all heads.
    """
    bos, info = selection.bos, selection.info
    prompts = [
        _result(selection, "tokenize", selection[name], prepend_bos=bos)
        for name in ("clean", "corrupt")
    ]
    longest = int((MAX_PATTERN_NUMBERS / (info.n_layers * info.n_heads)) ** 0.5)
    if max(prompt.length for prompt in prompts) > longest:
        raise AnalysisError(
            f"A prompt has more than {longest} tokens, the most that are patched in "
            f"{info.name}. Shorten both."
        )
    return prompts[0], prompts[1]


def prompt_pair(
    selection: Selection, clean: Tokens, corrupt: Tokens, answer: int, foil: int
) -> PromptPair:
    """Two prompts that can be patched into each other."""
    pair: PromptPair = _engine().prompt_pair(
        model_of(selection), clean, corrupt, answer=answer, foil=foil
    )
    return pair


def attribution_patching(selection: Selection, pair: PromptPair) -> dict[PatchKind, PatchMap]:
    """Estimates of every patch of every kind."""
    return _result(selection, "attribution_patching", pair)


def activation_patching(
    selection: Selection,
    pair: PromptPair,
    kind: PatchKind,
    cells: tuple[tuple[int, int], ...],
    progress: Progress | None = None,
) -> PatchMap:
    """Exact patches of one kind; `progress` may raise to cancel them."""
    _admit_patches(selection, pair, len(cells))
    return _result(selection, "activation_patching", pair, kind, cells, progress=progress)


def path_patching(
    selection: Selection, pair: PromptPair, reader: Head, into: Input, progress: Progress
) -> PathMap:
    """Exact patches of every path into a head; for k and v `reader` is a key/value head."""
    _admit_patches(selection, pair, reader.layer * selection.info.n_heads)
    return _result(selection, "path_patching", pair, reader, into, progress=progress)


def circuit_tokens(selection: Selection) -> Tokens:
    """The view's sequences, as many of the first ones as edges can be found on at once."""
    tokens, info = tokens_of(selection), selection.info
    each = info.n_layers * info.n_heads * info.d_model * tokens.length
    fit = MAX_WRITTEN_NUMBERS // each
    if fit < min(tokens.batch, 2):
        raise AnalysisError(
            f"{tokens.length} tokens are too many to follow every edge of {info.name} at once; "
            f"about {MAX_WRITTEN_NUMBERS * tokens.length // (2 * each)} are possible. Take a "
            "smaller S or a shorter prompt."
        )
    rows = min(fit, tokens.batch)
    return replace(tokens, ids=tokens.ids[:rows], labels=tokens.labels[:rows])


def edge_attribution(selection: Selection) -> EdgeAttribution:
    """Every edge between heads with its estimated effect on the view's tokens."""
    tokens = circuit_tokens(selection)
    return _result(selection, "edge_attribution", tokens, method=_cut_by(tokens))


def faithfulness(selection: Selection, edges: tuple[Edge, ...]) -> Faithfulness:
    """The loss on the view's tokens when all other edges are cut."""
    tokens = circuit_tokens(selection)
    return _result(selection, "faithfulness", tokens, edges, method=_cut_by(tokens))


def parameters(selection: Selection) -> tuple[Parameter, ...]:
    """Every weight tensor of the model."""
    return _result(selection, "parameters")


def hook_points(selection: Selection) -> tuple[HookPoint, ...]:
    """Every activation of the model that can be read."""
    return _result(selection, "hook_points")


def activation(selection: Selection, sequence: int, name: str) -> Activation:
    """One activation on one of the view's sequences, batch of 1."""
    return _of_sequence(selection, sequence, "activation", name)


def verify_pattern(selection: Selection, sequence: int, layer: int) -> PatternCheck:
    """A layer's pattern worked out by hand, on one of the view's sequences."""
    return _of_sequence(selection, sequence, "verify_pattern", layer)


def neuron_peaks(selection: Selection, sequence: int) -> NeuronPeaks:
    """Where every neuron fires most on one of the view's sequences."""
    return _of_sequence(selection, sequence, "neuron_peaks")


def neuron_activations(selection: Selection, sequence: int, layer: int) -> NeuronActivations:
    """The neurons of one layer on one of the view's sequences, batch of 1."""
    return _of_sequence(selection, sequence, "neuron_activations", layer)


def promoted_tokens(
    selection: Selection, layer: int, neuron: int
) -> tuple[TokenRanking, TokenRanking]:
    """The tokens a neuron raises and those it lowers."""
    return _result(selection, "promoted_tokens", layer, neuron)


def profiles(selection: Selection) -> dict[str, np.ndarray]:
    """The scores of `definitions.PROFILE` that this model and input have, [layer, head] each."""
    result = scores(selection)
    known: dict[str, np.ndarray] = {
        name: result[name] for name in SCORES if not np.isnan(result[name]).all()
    }
    try:
        return {**known, "eigenvalue": ov_eigenvalues(selection).vocabulary_score}
    except AnalysisError:  # circuits are not defined for this model; its other scores are
        return known


def similar_heads(profiles: Mapping[str, np.ndarray], head: Head) -> list[tuple[Head, float]]:
    """All other heads by the distance of their profiles."""
    similar: list[tuple[Head, float]] = _engine().similar_heads(profiles, head)
    return similar


def single_token(selection: Selection, text: str) -> int:
    """The id of a text that is one token, such as ` Jane` (the space belongs to it).

    Raises:
        AnalysisError: It is several tokens or none; the sentence says which.
    """
    tokenizer = model_of(selection).tokenizer
    ids = tokenizer.encode(text, add_special_tokens=False)
    if len(ids) == 1:
        return int(ids[0])
    spaced = tokenizer.encode(f" {text}", add_special_tokens=False)
    hint = " With a space in front it is one token." if len(spaced) == 1 else ""
    raise AnalysisError(f"“{text}” is {len(ids)} tokens for this model, not one.{hint}")


def typed_ids(selection: Selection, text: str) -> np.ndarray:
    """Token ids written as numbers with commas or spaces between them, [pos, 1].

    Raises:
        AnalysisError: Something else is written, or an id that the model does not have.
    """
    numbers = text.replace(",", " ").strip(" []").split()
    if not numbers or any(not re.fullmatch("[0-9]{1,9}", number) for number in numbers):
        raise AnalysisError("Ids are whole numbers with commas between them, such as 264, 1009.")
    ids = np.array([[int(number)] for number in numbers])
    if ids.max() >= selection.info.d_vocab:
        raise AnalysisError(
            f"{ids.max()} is no id of {selection.info.name}; they run from 0 to "
            f"{selection.info.d_vocab - 1}."
        )
    return ids


def token_labels(selection: Selection, ids: np.ndarray) -> list[list[str]]:
    """What each id of a table [pos, k] stands for."""
    engine, tokenizer = _engine(), model_of(selection).tokenizer
    text = {int(i): engine.token_text(tokenizer, int(i)) for i in np.unique(ids)}
    return [[text[int(i)] for i in row] for row in ids]


def one_sequence(tokens: Tokens, index: int) -> Tokens:
    """Sequence `index` of a batch, as a batch of 1; the last one if there are fewer."""
    row = min(index, tokens.batch - 1)
    return replace(tokens, ids=tokens.ids[row : row + 1], labels=tokens.labels[row : row + 1])


def remembered() -> Iterator[tuple[str, Any]]:
    """Every result in memory that can be kept, with the question it answers."""
    for key, value in _results.items():
        if (question := key_text(key)) is not None:
            yield question, value


def _sweep(selection: Selection, tokens: Tokens, method: str) -> SharedSweep:
    seed, info = _swap(selection, method), selection.info
    # Only what the average needs; a head's effect on every prediction is asked for by itself.
    options = {"method": method, "seed": seed, "scored_only": True}

    def ablate_each(heads: Sequence[Head]) -> Generator[HeadAblation, None, None]:
        # Its memory counts for as long as it runs, and none of the places for computations: these
        # are for visitors who wait. `Sweeps` bounds how many run, and lets others at the model
        # after every head.
        with _admission.admitted(_bytes_needed(info, (tokens,)), Nobody(), slots=0):
            yield from _engine().ablate_each(model_of(selection), tokens, heads, **options)

    return SharedSweep(
        _sweeps,
        _key("ablate_each", info, (tokens, method, seed)),
        heads=lambda: _estimate(selection, tokens, method).order,
        ablate_each=ablate_each,
    )


def _estimate(selection: Selection, tokens: Tokens, method: str) -> AblationEstimate:
    seed = _swap(selection, method)
    return _result(selection, "ablation_estimate", tokens, method, seed=seed)


def _swap(selection: Selection, method: str) -> int:
    # No part of what is remembered where it changes nothing.
    return selection["swap"] if method == "resample" else 0


def _engine() -> ModuleType:
    """`analysis` with everything imported, by one thread: others wait.

    transformers fills its modules lazily, and two threads that import it at the same time see
    names missing.
    """
    with _importing:
        return _import_all()


@cache
def _import_all() -> ModuleType:
    for name in analysis.__all__:
        getattr(analysis, name)
    if settings().threads:
        import torch

        torch.set_num_threads(settings().threads)
    # What has been imported stays: no collection of garbage has to walk through it again. Before
    # any model is loaded, because what is set apart is never collected.
    gc.collect()
    gc.freeze()
    threading.Thread(target=_tidy_up, daemon=True, name="memory").start()
    return analysis


def _tidy_up() -> None:
    """Now and then give back the memory that busy times leave with the allocator."""
    while True:
        time.sleep(TIDY_EVERY)
        return_memory()


def _model(info: ModelInfo) -> HeadModel:
    return _models.get(info, visitor())


def _model_scores(info: ModelInfo) -> ModelScores:
    found = _engine().mosaic_scores(_model(info))
    return ModelScores({name: found[name] for name in SCORES}, found.chance)


_mosaic = Mosaic(_model_scores)


def _over_layers(selection: Selection, function: str) -> Any:
    """A summary of the patterns of every layer, which are not themselves kept."""
    tokens = tokens_of(selection)

    def compute(model: HeadModel) -> Any:
        every_layer = _engine().attention_patterns(model, tokens)
        return getattr(_engine(), function)(every_layer, tokens)

    return _shared(function, selection.info, (tokens,), compute)


def _of_sequence(
    selection: Selection, sequence: int, function: str, *arguments: Any, **options: Any
) -> Any:
    """`_result` on one of the view's sequences, as a batch of 1."""
    tokens = one_sequence(tokens_of(selection), sequence)
    return _result(selection, function, tokens, *arguments, **options)


def _of_tokens(
    selection: Selection,
    function: str,
    *arguments: Any,
    progress: Progress | None = None,
    **options: Any,
) -> Any:
    """`_result` on the view's tokens."""
    tokens = tokens_of(selection)
    return _result(selection, function, tokens, *arguments, progress=progress, **options)


def _result(
    selection: Selection,
    function: str,
    *arguments: Any,
    progress: Progress | None = None,
    **options: Any,
) -> Any:
    """`analysis.<function>(model, *arguments, **options)`: remembered, awaited or computed here.

    `progress` says nothing about the result, so it is no part of what is remembered.
    """
    reported = {"progress": progress} if progress else {}
    return _shared(
        function,
        selection.info,
        (*arguments, *sorted(options.items())),
        lambda model: getattr(_engine(), function)(model, *arguments, **options, **reported),
        shows_progress=progress is not None,
    )


def _shared(
    function: str,
    info: ModelInfo,
    asked: tuple[Any, ...],
    compute: Callable[[HeadModel], Any],
    shows_progress: bool = False,
) -> Any:
    """What is remembered costs nothing; what is not is counted, waits its turn, and is computed.

    Meanwhile the visitor is told what is done, unless the computation `shows_progress` itself.
    """
    who, key = visitor(), _key(function, info, asked)

    def admitted() -> Any:
        if who.name is not None:
            _rate.take(who.name)
        if who.address is not None:
            _address_rate.take(who.address)
        with _admission.admitted(_bytes_needed(info, asked), who):
            model = _models.get(info, who)
            if not shows_progress:
                who.starts(_doing(info, asked))
            return compute(model)

    def while_another_does() -> None:
        who.check()
        who.starts(_doing(info, asked))

    try:
        return _results.get(key, lambda: _stored(info, key, admitted), while_another_does)
    finally:
        # Not before the result is remembered: who has left ends in there.
        who.ends()


def _doing(info: ModelInfo, asked: tuple[Any, ...]) -> str:
    """One line for who waits."""
    for part in asked:
        if _stands_for_itself(part):
            continue
        if isinstance(part, analysis.Tokens):
            rows = f"{part.batch} × " if part.batch > 1 else ""
            return f"Running {info.title} on {rows}{part.length} tokens…"
        if isinstance(part, analysis.PromptPair):
            return f"Running {info.title} on both prompts…"
    return f"Reading the weights of {info.title}…"


def _stored(info: ModelInfo, key: Hashable, compute: Callable[[], Any]) -> Any:
    """What came with the model or is kept in the folder; else computed, and kept there."""
    question = key_text(key)
    if question is None:
        return compute()
    file, folder = shipped_file(info.folder, question), _folder()
    data = file.read_bytes() if file.exists() else folder.get(question) if folder else None
    if data is not None and (known := from_bytes(question, data)) is not None:
        return known
    value = compute()
    if folder and (data := to_bytes(question, value)) is not None:
        folder.keep(question, data)
    return value


@cache
def _folder() -> ResultFolder | None:
    name, size = settings().cache_folder, settings().cache_folder_mb
    try:
        return ResultFolder(Path(name), size * 2**20) if name else None
    except (OSError, sqlite3.Error):  # not ours to write to, or damaged
        _log.exception("results cannot be kept in %s", name)
        return None


@cache
def _fingerprint(info: ModelInfo) -> str:
    return fingerprint(info)


def _bytes_needed(info: ModelInfo, asked: tuple[Any, ...]) -> int:
    """Memory that a request takes beside the weights, rather too much than too little."""
    # From the weights alone: a few matrices of the size of the embedding.
    need = 3 * 4 * info.d_vocab * info.d_model
    for tokens in (part for part in asked if isinstance(part, analysis.Tokens)):
        # Logits, their log-probabilities and one more copy; a layer's activations a few times.
        need += 4 * tokens.ids.size * (3 * info.d_vocab + 8 * max(info.d_mlp, 4 * info.d_model))
        # Patterns as they are kept and as they are copied out.
        patterns = info.n_layers * info.n_heads * tokens.batch * tokens.length**2
        need += min(2 * 4 * patterns, 2 * MAX_BYTES)
    return need


def _key(function: str, info: ModelInfo, asked: tuple[Any, ...]) -> Hashable:
    """What stands for a request in a cache: all that can change its answer."""
    details = tuple(_identity(part) for part in asked)
    return (function, DEFINITION_VERSION, _fingerprint(info), details)


def _admit_patches(selection: Selection, pair: PromptPair, patches: int) -> None:
    each = pair.clean.ids.size * max(selection.info.n_params, 1)
    if patches * each > MAX_PATCH_WORK:
        raise AnalysisError(
            f"{patches:,} patches of {pair.clean.length} tokens are too much for "
            f"{selection.info.name} at once; about {MAX_PATCH_WORK // each:,} are possible. "
            "Patch only the strongest, or shorten both prompts."
        )


def _cut_by(tokens: Tokens) -> str:
    # A mean needs several sequences.
    return "mean" if tokens.batch > 1 else "zero"


def _identity(part: Any) -> Any:
    """What stands for an argument in a key: tokens by their ids, everything else by itself."""
    if _stands_for_itself(part):
        return part
    if isinstance(part, analysis.Tokens):
        return (part.ids.shape, part.ids.tobytes(), part.half_length, part.pairs_from)
    # Asked last: the class comes with torch.
    if isinstance(part, analysis.PromptPair):
        return (_identity(part.clean), _identity(part.corrupt), part.answer, part.foil)
    return part


def _stands_for_itself(part: Any) -> bool:
    return part is None or isinstance(part, str | int | float | tuple | Head)
