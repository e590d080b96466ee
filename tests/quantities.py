"""What every quantity is by the analysis and by the code that pages offer for it."""

import io
import re
import tempfile
from contextlib import redirect_stdout
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch

import analysis
from analysis import definitions as d
from analysis.definitions.role import Role, Rows
from analysis.effects.recipe import parse_recipe
from analysis.head import Head
from analysis.heads.corpus.texts import shipped_text
from analysis.models.catalog import BUNDLED, find_model
from analysis.models.history import training_history
from analysis.models.loading import HeadModel
from analysis.roles.scores import screen_patterns
from app.frame.snippets import snippet
from app.links.parameters import PARAMETERS
from app.links.parsers import heads_in
from app.links.selection import Selection
from app.links.subject import Subject

PROMPT = 'The cat sat.\nThe cat """ sat on the mat\' \u202e'
CHOSEN, WRITER = Head(1, 3), Head(0, 2)
KEPT = "L0H2,L1H3"
RECIPE = "L0H2x0.5_L1H3q4k2_L0H1-mean_R1x0.5"
STEPS = tuple(listed.step for listed in parse_recipe(RECIPE))
OF_TWO = (d.JOINT_ABLATION, d.SET_ABLATION, d.FLIP_NEEDED)
# Those of a set of prompts are compared with their figures in `tests/pages`, and those of a
# conversation in `test_conversation`.
CODED = [
    quantity
    for quantity in d.QUANTITIES
    if quantity.code and not {"set", "by_row", "conversation", "long"} & set(quantity.needs)
]


@cache
def loaded(name: str) -> HeadModel:
    """The page's side of a comparison; the snippet loads its own."""
    return analysis.load_model(name, device="cpu")


def view(**values) -> Selection:  # noqa: ANN003
    chosen = {p.key: p.default_on("tokens") for p in PARAMETERS}
    chosen |= {"length": 8, "batch": 3, "layer2": 0, "head2": 2, "prompt": PROMPT, "edges": 6}
    chosen["prompt2"] = PROMPT.replace("mat", "dog")
    chosen["write"] = 4
    chosen |= values
    return Selection("induction", MappingProxyType(chosen), find_model(str(chosen["model"])))


def about(definition: d.Quantity, selection: Selection) -> Subject:
    """A subject that has all that any code needs."""
    answer, foil = (one_token(selection, selection[key]) for key in ("answer", "foil"))
    return Subject(
        selection,
        head=CHOSEN,
        heads=(WRITER, CHOSEN) if definition in OF_TWO else (),
        groups=((WRITER,), (WRITER, CHOSEN)) if definition == d.FLIP_RANDOM else (),
        writer=WRITER,
        sequence=selection["sequence"] if selection["input"] == "repeated" else 0,
        dest=6,
        src=3,
        answer=answer,
        foil=foil,
        token=one_token(selection, " the"),
        neuron=0,
        kept=heads_in(selection["keep"]),
        edges=selection["edges"],
        activation="z" if "pair" in definition.needs else "blocks.1.attn.hook_q",
        column=CHOSEN.head,
        step=1221,
        steps=STEPS if "recipe" in definition.needs else (),
        text="the beginning of a novel",
        text_file=str(beginning(selection.info.n_ctx)),
    )


def one_token(selection: Selection, text: str | None) -> int | None:
    if text is None:
        return None
    return int(loaded(selection["model"]).tokenizer.encode(text, add_special_tokens=False)[0])


@cache
def _loaded_by(code: str) -> dict[str, object]:
    """What the part of a program that loads its model defines; it takes the longest."""
    names: dict[str, object] = {}
    exec(compile(code, "load", "exec"), names)
    return names


def run(definition: d.Quantity, selection: Selection) -> np.ndarray | None:
    """What the code gives; None where there is none."""
    # All of it, and not the part that a figure about this subject shows.
    code = snippet([d.of_every_head(definition)], about(definition, selection))
    if code is None:
        return None
    assert str(selection.info.folder.parent) not in code
    # The tests may run from anywhere.
    code = re.sub(r'Path\("models"\)', f"Path({str(BUNDLED)!r})", code)
    code = code.replace('Path("analysis/', f'Path("{BUNDLED.parent}/analysis/')
    before = torch.is_grad_enabled()
    constants, _, program = code.partition("\n\n")
    own = [line for line in constants.splitlines() if line.startswith(_OF_LOADING)]
    load, mark, rest = program.partition("n_layers, n_heads, d_head = ")
    sizes, _, rest = rest.partition("\n")
    try:
        names = {**_loaded_by("\n".join([*own, load, mark + sizes]))}
        torch.set_grad_enabled(False)
        with redirect_stdout(io.StringIO()):
            exec(compile(f"{constants}\n{rest}", definition.name, "exec"), names)
    finally:
        torch.set_grad_enabled(before)
    return names["result"].detach().numpy()


_OF_LOADING = ("NAME", "FOLDER", "SOURCE", "REVISION", "WEIGHTS", "BOS", "ENDS_OF_TEXT")


@cache
def beginning(n_ctx: int) -> Path:
    """So short a text that every window of it is kept."""
    file = Path(tempfile.mkdtemp(prefix="headscope-tests-")) / "novel.txt"
    file.write_text(shipped_text()[: 3_000 if n_ctx > 64 else 600], "utf-8")
    return file


def on_text(definition, model):  # noqa: ANN001, ANN201
    """What the page has of a text."""
    scan = analysis.corpus_scan(
        model, beginning(model.n_ctx).read_text("utf-8"), min(256, model.n_ctx)
    )
    head, at = CHOSEN, (CHOSEN.layer, CHOSEN.head)
    kept = sorted(scan.windows(head), key=lambda window: window.number)
    assert len(kept) == scan.n_windows
    first, queries = scan.first_by_distance[at], scan.queries
    match definition:
        case d.CORPUS_WINDOWS:
            shares = scan.max_histogram[at] / scan.n_windows
            return np.concatenate([[window.maximum for window in kept], shares])
        case d.CORPUS_VALUES:
            return scan.written_at_first[at]
        case d.CORPUS_EFFECTS:
            return [window.rank("effect") for window in kept]
        case d.CORPUS_DISTANCES:
            return np.stack([scan.by_distance[at] - first, first]) / queries
        case d.CORPUS_FIRST:
            return np.concatenate([[scan.at_first[at]], scan.first_histogram[at] / queries])
        case d.CORPUS_TOKENS:
            total = (scan.by_distance[at] - first).sum()
            sides = scan.top_keys(head), scan.top_queries(head)
            shares = [[token.attention / total for token in side] for side in sides]
            over = [[token.attention / token.chance for token in side] for side in sides]
            return np.array([shares, over])
        case _:
            return [[scan.scores[name][at], scan.chance[name]] for name in scan.scores]


def expected(definition: d.Quantity, model, tokens, selection):  # noqa: ANN001, ANN202
    head, at = CHOSEN, (CHOSEN.layer, CHOSEN.head)
    patterns = analysis.attention_patterns(model, tokens)
    score = {v: k for k, v in d.SCORES.items()}
    if isinstance(definition, Role):  # one that is screened on random tokens
        rows = Rows(tokens, {})
        return screen_patterns(definition, rows, patterns.values, np.random.default_rng(0))[0].mean(
            0
        )
    if definition in score:
        return analysis.head_scores(model, tokens)[score[definition]]
    stats = analysis.next_token_stats(model, tokens)
    method = selection["method"]
    if "text" in definition.needs:
        return on_text(definition, model)
    if "recipe" in definition.needs:
        return by_hand(definition, model, tokens, selection)
    match definition:
        case d.TOKENS:
            return tokens.ids
        case d.LOSS:
            return stats.loss
        case d.LOG_PROBS:
            return stats.log_probs
        case d.MEAN_LOG_PROBS:
            return stats.log_probs.mean(0)
        case d.NEXT_TOKENS:
            return stats.top_probs[:, -1]
        case d.HALF_LOSS:
            return stats.half_losses(tokens)
        case d.PATTERN:
            return patterns.values
        case d.VALUE_PATTERN:
            return analysis.weighted_patterns(model, tokens, "value").values
        case d.ANSWER_PATTERN:
            ends = stats.top_ids[:, -1, 0]
            return analysis.weighted_patterns(model, tokens, "answer", end=ends).values
        case d.PATTERN_CHECK:
            return analysis.verify_pattern(model, tokens, head.layer).cached
        case d.HEAD_WEIGHT:
            return analysis.head_weight(model, head, "W_Q").values
        case d.SIMILARITY:
            scores = analysis.head_scores(model, tokens)
            profiles = {name: scores[name] for name in d.SCORES}
            profiles["eigenvalue"] = analysis.ov_eigenvalues(model).vocabulary_score
            distances = np.zeros((model.n_layers, model.n_heads))
            for other, distance in analysis.similar_heads(profiles, head):
                distances[other.layer, other.head] = distance
            return distances
        case d.COURSE_STRIPE:
            return analysis.head_scores(model, tokens).course_stripe
        case d.DISTANCE_PROFILE:
            return analysis.distance_profile(patterns, tokens)
        case d.PATTERN_CHANGE:
            second = analysis.tokenize(model, selection["prompt2"], prepend_bos=selection["bos"])
            return analysis.pattern_change(patterns, analysis.attention_patterns(model, second))
        case d.RESTING:
            resting = analysis.resting_attention(patterns, tokens)
            return np.stack([resting.first_half, resting.second_half])
        case d.ATTRIBUTION:
            return analysis.logit_attribution(model, tokens, end=stats.top_ids[:, -1, 0]).values
        case d.LAYER_ATTRIBUTION:
            ends = stats.top_ids[:, -1, 0]
            totals = analysis.logit_attribution(model, tokens, end=ends).by_layer
            return np.concatenate(
                [totals.attention, *([] if totals.mlp is None else [totals.mlp])], -1
            )
        case d.SOURCE_ATTRIBUTION:
            ends = stats.top_ids[:, -1, 0]
            return analysis.source_attribution(model, tokens, head, end=ends).values
        case d.ANSWER_SOURCES:
            ends = stats.top_ids[:, -1, 0]
            row = selection["sequence"] if tokens.batch > 1 else 0
            ids = [one_token(selection, selection[key]) for key in ("answer", "foil")]
            split = analysis.source_attribution(model, tokens, head, *ids, end=ends)
            return split.values[row, 6, :7][None]
        case d.LENS_AT:
            row = selection["sequence"] if selection["input"] == "repeated" else 0
            return analysis.logit_lens(model, tokens, at=6).top_probs[row, :, 0]
        case d.LENS:
            return analysis.logit_lens(model, tokens).end_probs
        case d.ABLATION:
            return analysis.ablation_sweep(model, tokens, method).values
        case d.TOKEN_ABLATION:
            return analysis.ablate_head(model, tokens, head, method).per_token
        case d.ANSWER_ABLATION:
            row = selection["sequence"] if tokens.batch > 1 else 0
            one, answer = one_of(tokens, row), one_token(selection, selection["answer"])
            said = int(one.ids[0, 7]) if answer is None else answer
            foil = one_token(selection, selection["foil"])
            return analysis.answer_ablation(model, one, [head], 6, said, foil).changes
        case d.FLIP_PATH:
            row = selection["sequence"] if tokens.batch > 1 else 0
            one = one_of(tokens, row)
            ids = [one_token(selection, selection[key]) for key in ("answer", "foil")]
            flip = analysis.flip_set(model, one, *ids)
            return [flip.clean, *flip.after]
        case d.FLIP_NEEDED | d.FLIP_RANDOM:
            row = selection["sequence"] if tokens.batch > 1 else 0
            both = (WRITER, head)
            needed = definition == d.FLIP_NEEDED
            sets = [both, (head,), (WRITER,)] if needed else [(WRITER,), both]
            recipes = ["_".join(f"{each.label}x0" for each in heads) for heads in sets]
            ids = {key: one_token(selection, selection[key]) for key in ("answer", "foil")}
            one = one_of(tokens, row)
            return [
                analysis.intervene(model, one, recipe, head, **ids).difference[1]
                for recipe in recipes
            ]
        case d.SET_ABLATION:
            both = analysis.pair_ablation(model, tokens, [WRITER, head], method)
            together = analysis.ablate_heads(model, tokens, [WRITER, head], method).value
            excess = both.excess[0, 1]
            return [together, together - excess, excess]
        case d.ABLATION_ESTIMATE:
            return analysis.ablation_estimate(model, tokens, method).values
        case d.JOINT_ABLATION:
            return analysis.pair_ablation(model, tokens, [WRITER, head], method).excess
        case d.PAIR_ABLATION:
            paired = analysis.paired_tokens(model, 8, 3)
            pairs, full = (
                analysis.ablation_sweep(model, t, "mean").values for t in (paired, tokens)
            )
            return [pairs, full]
        case d.OFFSET_ABLATION:
            kept = ((), (0,), (1,), (2,), (3,), (1, 2), (1, 2, 3), (0, 7))
            lost = analysis.offset_ablation(model, tokens, head.layer, kept).values
            return [lost, lost / lost[0]]
        case d.KEEP_ONLY:
            return analysis.keep_only(model, tokens, heads_in(KEPT))
        case d.TARGETED_ABLATION:
            found = analysis.targeted_ablation(model, tokens, head)
            return found.ablated - found.clean
        case d.OV_CIRCUIT:
            return analysis.ov_sample(model, head, ids=[5, 9, 70]).values
        case d.COPYING:
            return [list(analysis.ov_copying(model, head).accuracy.values())]
        case d.OV_SAMPLE:
            size, seed = selection["sample"], selection["draw"]
            return analysis.ov_sample(model, head, size=size, seed=seed).values
        case d.TOKEN_OUTPUTS:
            (token,) = model.tokenizer.encode(" the", add_special_tokens=False)
            return analysis.ov_top_tokens(model, head, token).raised.values
        case d.EIGENVALUES:
            eigenvalues = analysis.ov_eigenvalues(model)
            return np.stack([eigenvalues.score, eigenvalues.vocabulary_score])
        case d.OV_DIRECTIONS:
            return analysis.ov_svd(model, head).singular_values
        case d.FACTORED_MATRIX:
            facts = analysis.factored_matrix_facts(model)
            return [facts.full_bytes, facts.factored_bytes]
        case d.POSITIONAL_PATTERN:
            return analysis.previous_token_circuit(model, *at).values
        case d.TOKEN_PREFERENCES:
            (token,) = model.tokenizer.encode(" the", add_special_tokens=False)
            found = analysis.qk_preferences(model, head, token)
            return [found.keys.values, found.queries.values]
        case d.K_COMPOSITION_CIRCUIT:
            found = analysis.k_composition_circuit(model, WRITER, head)
            return [found.best_key_hits[0].mean(), found.best_query_hits[0].mean()]
        case d.COMPOSITION:
            return analysis.composition_scores(model, "K").values
        case d.COMPOSITION_BASELINE:
            baseline = analysis.random_baseline(model.d_model, model.d_head)
            return [baseline.mean, baseline.std]
        case d.DECOMPOSITION:
            return analysis.k_composition(model, tokens, *at).score_std
        case d.SCORE_SPLIT:
            row = selection["sequence"] if tokens.batch > 1 else 0
            split = analysis.score_split(model, tokens, head, 6, 3, row)
            return [split.query_side, split.key_side]
        case d.EDGE_ATTRIBUTION:
            found = analysis.edge_attribution(model, tokens)
            return sorted(edge.score for edge in found.edges)
        case d.FAITHFULNESS:
            found = analysis.edge_attribution(model, tokens)
            kept = found.above(abs(found.edges[selection["edges"] - 1].score))
            result = analysis.faithfulness(model, tokens, kept)
            return [result.recovered, result.loss]
        case d.TRAINING_LOSSES:
            history = training_history(model.info)
            return [history.text_loss, history.first_half_loss, history.second_half_loss]
        case d.TRAINING_SCORES:
            return training_history(model.info).scores["induction"]
        case d.STEP_SCORES:
            history = training_history(model.info)
            return history.scores["induction"][history.record(1221)]
        case d.TRANSITION:
            history = training_history(model.info)
            assert history.transition is not None
            return history.steps[history.transition]
        case d.NEURON_ACTIVATION:
            return analysis.neuron_activations(model, tokens, head.layer).values
        case d.NEURON_PEAKS:
            every = [analysis.neuron_peaks(model, one_of(tokens, i)) for i in range(tokens.batch)]
            return np.stack([peaks.values for peaks in every], 1)
        case d.NEURON_TOKENS:
            raised, _ = analysis.promoted_tokens(model, head.layer, 0)
            return raised.values
        case d.PARAMETER:
            return model.bridge.W_Q.detach().numpy()
        case d.NAMES:
            return [parameter.numel() for parameter in model.bridge.parameters()]
        case d.ACTIVATION:
            row = selection["sequence"] if tokens.batch > 1 else 0
            found = analysis.activation(model, tokens, "blocks.1.attn.hook_q")
            return found.values[row, :, head.head]
        case d.PARTNERS:
            found = [analysis.composition_scores(model, kind).values for kind in "QKV"]
            sides = (
                (v[: head.layer, :, *at], v[(*at, slice(head.layer + 1, None))]) for v in found
            )
            return np.concatenate([side.ravel() for both in sides for side in both])
        case _:
            ids = [
                model.tokenizer.encode(selection[k], add_special_tokens=False)[0]
                for k in ("answer", "foil")
            ]
            texts = (analysis.tokenize(model, selection[k]) for k in ("clean", "corrupt"))
            pair = analysis.prompt_pair(model, *texts, *ids)
            if definition in (d.PAIR_EDGES, d.PAIR_FAITHFULNESS):
                edges = analysis.pair_edge_attribution(model, pair)
                if definition == d.PAIR_EDGES:
                    return sorted(edge.score for edge in edges.edges)
                kept = edges.above(abs(edges.edges[selection["edges"] - 1].score))
                result = analysis.pair_faithfulness(model, pair, kept)
                return [result.recovered, result.difference]
            if definition == d.PATH_PATCHING:
                shared = head.head * (model.info.n_kv_heads or model.n_heads) // model.n_heads
                read = Head(head.layer, shared)
                return restored(analysis.path_patching(model, pair, read, selection["into"]))
            if definition == d.PATCHING:
                return restored(analysis.activation_patching(model, pair, "z"))[at]
            if definition == d.LOGIT_DIFFERENCE:
                found = analysis.attribution_patching(model, pair, ["z"])["z"]
                return [found.clean, found.corrupt]
            return restored(analysis.attribution_patching(model, pair, ["z"])["z"])


def by_hand(definition, model, tokens, selection):  # noqa: ANN001, ANN201
    """What a recipe does to one sequence."""
    ids = [one_token(selection, selection[key]) for key in ("answer", "foil")]
    second = analysis.tokenize(model, selection["prompt2"])
    tokens = one_of(tokens, selection["sequence"] if tokens.batch > 1 else 0)
    if definition == d.WRITTEN:
        swap = selection["swap"]
        return analysis.write_on(
            model,
            tokens,
            RECIPE,
            selection["write"],
            seed=selection["seed"],
            swap=swap,
            second=second,
        ).probs
    found = analysis.intervene(
        model,
        tokens,
        RECIPE,
        CHOSEN,
        second=second,
        answer=ids[0],
        foil=ids[1],
        seed=selection["swap"],
    )
    match definition:
        case d.NEXT_WITH_RECIPE:
            return found.probs[:, np.argsort(found.ids)]
        case d.LOSS_WITH_RECIPE:
            return found.log_probs[0] - found.log_probs[1]
        case d.MOVED_ATTENTION:
            return found.moved
        case d.EDITED_PATTERN:
            return found.patterns
        case _:
            return found.difference


def restored(found):  # noqa: ANN001, ANN201
    """What pages draw: shares, or logits where a share would mislead."""
    return found.effects if found.no_share else found.values


def one_of(tokens, index: int):  # noqa: ANN001, ANN201
    part = slice(index, index + 1)
    return replace(tokens, ids=tokens.ids[part], labels=tokens.labels[part])


def shown(definition: d.Quantity, result: np.ndarray) -> np.ndarray:
    """The part of a snippet's numbers that is compared."""
    if definition == d.OV_CIRCUIT:
        return result[np.ix_([5, 9, 70], [5, 9, 70])]
    if definition in (d.TOKEN_PREFERENCES, d.NEURON_TOKENS, d.TOKEN_OUTPUTS):
        return -np.sort(-result)[..., :10]
    if definition in (d.EDGE_ATTRIBUTION, d.PAIR_EDGES):
        return np.sort(result)
    if definition == d.PAIR_ABLATION:
        # The ratio of two small numbers is as exact as they are.
        return result[:2]
    return result
