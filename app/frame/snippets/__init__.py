"""Code that reproduces a figure in a notebook with plain TransformerLens."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from analysis.definitions import Quantity
from analysis.effects.steps import Swap
from analysis.errors import AnalysisError
from analysis.limits import MAX_CORPUS_TOKENS, MAX_LONG_CHARACTERS, WINDOW
from analysis.models.capabilities import (
    require_fixed_qk,
    require_foldable_norms,
    require_head_writes,
    require_mlps,
    require_plain_logits,
    require_plain_reads,
    require_position_vectors,
    require_readable_stream,
    require_source_effects,
    require_source_writes,
    require_worked_out_scores,
)
from analysis.models.catalog import folder_name
from analysis.models.info import ModelInfo
from analysis.models.tokens import END, SEPARATORS, named_bos
from analysis.turns import PARTS, turns_of
from app.compute.calls.by_rows import most_tiles
from app.frame.snippets import encoders, fitted, parts, sets
from app.frame.snippets.loading import at_hand, loading, origin
from app.links.selection import Selection
from app.links.subject import Subject

if TYPE_CHECKING:
    from analysis.effects.circuit import Wire
    from analysis.sets.fitted import FittedSet

_ORDER = (
    *("set", "difference", "text", "long", "run", "pair", "between", "pattern", "score", "loss"),
    *("z_hook", "ablate", "metric", "usual", "cut", "recipe", "write", "answered"),
    *("patched", "matrices", "norm", "writes", "reads", "edges", "kept_edges", "circuit"),
    *("weights", "unembedding"),
    *("embedding", "compared", "parts", "targets", "answers", "readout"),
)
# What a model has to allow for a part to hold for it.
_Require = Callable[[ModelInfo], None]
_REQUIRES: dict[str, tuple[_Require, ...]] = {
    "weights": (require_head_writes, require_foldable_norms),
    "unembedding": (require_foldable_norms,),
    "fixed_qk": (require_fixed_qk,),
    "places": (partial(require_position_vectors, wanted="it"),),
    "compared": (require_worked_out_scores,),
    "writes": (require_head_writes,),
    "source_writes": (require_source_writes,),
    "source_effects": (require_source_effects,),
    "reads": (require_plain_reads,),
    "targets": (require_plain_logits,),
    "answers": (require_plain_logits,),
    "readout": (require_readable_stream,),
    "neurons": (require_mlps,),
}
# Parts that others are made with; a circuit, where edges of it are chosen.
_MADE_WITH = {"parts": ("matrices",)}
_WIRED = ("writes", "norm", "reads", "kept_edges")
_CONSTANT = re.compile(r"\b[A-Z][A-Z_]*[0-9]*\b")


class NotInSubject(LookupError):
    """A figure whose code needs something that its subject does not have."""


def snippet(definitions: Sequence[Quantity], subject: Subject) -> str | None:
    """One program for all of `definitions` that have code; None where none has.

    Args:
        definitions: The quantities of a figure.
        subject: What the figure is about: all that the program sets is read from it.

    Raises:
        NotInSubject: A quantity is of a head, or of a token, and the subject has none.
    """
    if subject.selection.info.bidirectional:
        return encoders.program(definitions, subject)
    over_set = next((each for each in definitions if "by_row" in each.needs), None)
    if over_set is not None:
        return _over_set(over_set, subject)
    programs = [_program(definitions, side) for side in (subject, subject.second) if side]
    known = [program for program in programs if program]
    if len(known) < 2:
        return known[0] if known else None
    return "\n\n".join(f"# {side}\n{code}" for side, code in zip("AB", known, strict=True))


def _over_set(quantity: Quantity, subject: Subject) -> str | None:
    """A program of what is measured over a set, and of both sides where two are compared."""
    kind = next((need for need in quantity.needs if need in sets.KINDS), "each")
    end = [sets.shown(kind, subject), _narrowed(sets.AXES[kind], subject), "print(result)"]
    if subject.heads and kind == "paired":
        end.insert(0, "first, second = by_row[:, LAYERS, HEADS].unbind(1)")
    if subject.second is None:
        return _by_row(quantity, subject, end)
    of_each = kind == "paired" and not subject.heads  # a head of each side
    sides = [
        _by_row(quantity, side, [f"{name} = by_row{'[:, LAYER, HEAD]' if of_each else ''}"])
        for name, side in (("first", subject), ("second", subject.second))
    ]
    if sides[0] is None or sides[1] is None:
        return None
    less = [] if of_each else ["by_row = first - second"]
    last = "\n".join(_with_constants([quantity], subject, [*less, *end]))
    return f"# A\n{sides[0]}\n\n# B\n{sides[1]}\n\n# A less B\n{last}"


def _by_row(quantity: Quantity, subject: Subject, end: Sequence[str]) -> str | None:
    """A program that ends with what is made of `by_row`: [row, layer, head] over a set."""
    info, method = subject.selection.info, subject.method or subject.selection["method"]
    mean = method == "mean" and "ablate" in quantity.needs
    if subject.prompts is None or not quantity.code or not _allows(info, quantity, quantity.needs):
        return None
    if mean and len(subject.prompts.batches) > 1:  # means at places, which no program here takes
        return None
    body = [_part(need, subject) for need in _ORDER if need in quantity.needs] + [quantity.code]
    body = [fitted.fitted(part, info) for part in body]
    blocks = loading(info)
    if any("gain(" in part for part in body):
        blocks.append(_gain(info))
    measured = sets.by_row("\n\n".join(part.strip() for part in body))
    blocks += [f"# {quantity.name}: {quantity.unit}", measured, *end]
    return "\n".join([at_hand(info), *_with_constants([quantity], subject, blocks)])


def _program(definitions: Sequence[Quantity], subject: Subject) -> str | None:
    info = subject.selection.info
    known = [
        quantity
        for quantity in dict.fromkeys(definitions)
        if quantity.code
        and _allows(info, quantity, _needs(quantity, subject))
        and ("set" not in quantity.needs or _of_one_length(subject))
        and ("text" not in quantity.needs or subject.text_file is not None)
        and ("conversation" not in quantity.needs or subject.whose)
    ]
    if not known:
        return None
    needs = {need for quantity in known for need in _needs(quantity, subject)}
    repeated = subject.selection["input"] == "repeated" or "repeated" in needs
    blocks = loading(info)
    if not needs & {"pair", "set", "text", "long"}:  # which stand in place of the input
        blocks.append(_input(subject.selection, repeated, "recipe" in needs))
    wanted = [_part(need, subject) for need in _ORDER if need in needs]
    wanted = [fitted.fitted(part, info) for part in wanted]
    if any("gain(" in part for part in (*wanted, *(quantity.code for quantity in known))):
        blocks.append(_gain(info))
    # Where a text is written on, what it is set against goes on beside it.
    reference = parts.REFERENCE.format(more=" + NEW_TOKENS" if "write" in needs else "")
    for part in wanted:
        if "elsewhere[" in part and reference not in blocks:
            blocks.append(reference)
        blocks.append(part)
    for quantity in known:
        blocks += [f"# {quantity.name}: {quantity.unit}", fitted.fitted(quantity.code, info)]
        blocks += [_narrowed(quantity.axes, subject), "print(result)"]
    return "\n".join([at_hand(info), *_with_constants(known, subject, blocks)])


def _input(selection: Selection, repeated: bool, with_recipe: bool) -> str:
    """The block that ends in `tokens` and what of them is scored."""
    if repeated:
        return parts.REPEATED
    if selection["input"] != "chat":
        return parts.PROMPT
    return parts.CONVERSATION + (parts.CONVERSATION_BOS if with_recipe else "")


def _with_constants(
    known: Sequence[Quantity], subject: Subject, blocks: Sequence[str]
) -> Iterator[str]:
    """A program's lines: what it sets from the view, and then its blocks."""
    code = "\n\n".join(block.strip() for block in blocks if block)
    used = set(_CONSTANT.findall(code))
    repeated = subject.selection["input"] == "repeated" or any(
        "repeated" in quantity.needs for quantity in known
    )
    constants = _constants(subject, repeated)
    for name in (each for each in constants if each in used):
        if constants[name] is _ABSENT:
            raise NotInSubject(
                f"the code of {', '.join(d.name for d in known)} needs {name}, "
                f"which is not in the subject of the figure"
            )
    yield from (f"{name} = {value!r}" for name, value in constants.items() if name in used)
    yield from ("", code, "")


def _needs(quantity: Quantity, subject: Subject) -> set[str]:
    """The parts that the code of a quantity begins with."""
    needs = set(quantity.needs)
    if "circuit" in needs and _is_wired(subject):
        needs.update(_WIRED)
    return needs.union(*(_MADE_WITH.get(need, ()) for need in needs))


def _is_wired(subject: Subject) -> bool:
    """Whether edges are chosen in one of its circuits."""
    return any(circuit.wires is not None for circuit in subject.circuits)


def _gain(info: ModelInfo) -> str:
    if not info.traits.norm_weights:
        return fitted.BARE_GAIN
    return parts.GAIN if info.kind == "native" else parts.OFFSET_GAIN


def _allows(info: ModelInfo, quantity: Quantity, needs: Collection[str]) -> bool:
    """Whether the code of a quantity holds for a model; where it does not, pages refuse too."""
    if "history" in needs and origin(info) != "bundled":
        return False
    if info.step is not None and info.kind != "native":  # transformers loads finished models
        return False
    try:
        for need in needs:
            for require in _REQUIRES.get(need, ()):
                require(info)
    except AnalysisError:
        return False
    return True


def _narrowed(axes: Sequence[str], subject: Subject) -> str:
    """The line that takes what the figure shows out of a larger array."""
    one, several = subject.head, subject.heads
    index = {
        "sequence": "ROW" if subject.sequence is not None else "",
        "layer": "LAYER" if one else "LAYERS" if several else "",
        "head": "HEAD" if one else "HEADS" if several else "",
        "neuron": "NEURON" if subject.neuron is not None else "",
        "dest": "DEST" if subject.dest is not None else "",
    }
    taken = [index.get(axis) or ":" for axis in axes]
    while taken and taken[-1] == ":":
        taken.pop()
    return f"result = result[{', '.join(taken)}]" if taken else ""


def _of_one_length(subject: Subject) -> bool:
    """Whether the subject is a set that one batch of tokens holds, answers and foils with it."""
    prompts = subject.prompts
    return prompts is not None and len(prompts.batches) == 1 and prompts.has_foils


_ABSENT = object()  # stands for what a subject does not have


def _constants(subject: Subject, repeated: bool) -> dict[str, object]:
    """What the subject sets. `repr` writes whatever a text may hold as a harmless literal."""
    selection, prompts = subject.selection, subject.prompts
    info, head, writer = selection.info, subject.head, subject.writer
    heads = subject.heads or ((head,) if head else ())
    layer = head.layer if head else subject.layer
    messages = _messages(selection)

    def given(value: object) -> object:
        return _ABSENT if value is None else value

    return {
        "NAME": info.folder.name,
        "FOLDER": folder_name(info),
        "SOURCE": info.source,
        "REVISION": info.commit or info.revision or None,
        "WEIGHTS": str(info.weights.relative_to(info.folder)),
        "BOS": named_bos(info.folder, "native") or END,
        "ENDS_OF_TEXT": SEPARATORS,
        "SCALE": _ABSENT if layer is None else _scale(info, layer),
        "PLACED": info.positions == "shortformer",
        "LAYER": given(layer),
        "HEAD": given(head.head if head else None),
        "ONE_HEAD": head.head if head else None,
        "LAYERS": [each.layer for each in heads] or _ABSENT,
        "HEADS": [each.head for each in heads] or _ABSENT,
        "WRITER": (writer.layer, writer.head) if writer else _ABSENT,
        "WITHOUT": [(each.layer, each.head) for each in subject.without],
        "KEPT": given(
            None if subject.kept is None else [(each.layer, each.head) for each in subject.kept]
        ),
        "S": selection["length"] if repeated else None,
        "PROMPT": selection["prompt"],
        "SECOND_PROMPT": selection["prompt2"],
        "PREPEND_BOS": selection.bos,
        "CONVERSATION": messages,
        "OPEN_END": bool(messages) and messages[-1]["role"] == "assistant",
        "PARTS": list(PARTS),
        "WHOSE": list(subject.whose) or _ABSENT,
        "TEXT_FILE": given(subject.text_file),
        "MOST_TOKENS": MAX_CORPUS_TOKENS,
        "LONG_TEXT": selection["long"],
        "MOST_CHARACTERS": MAX_LONG_CHARACTERS,
        "LENGTH": min(selection["upto"], info.longest_by_rows),
        "MOST_TILES": most_tiles(info),
        "WINDOW": min(WINDOW, info.n_ctx),
        "HAS_BOS": info.has_bos,
        "BATCH": selection["batch"],
        "SEED": selection["seed"],
        "ROW": given(subject.sequence),
        "DEST": given(subject.dest),
        "SRC": given(subject.src),
        "ANSWER": subject.answer,
        "FOIL": subject.foil,
        "TOKEN": given(subject.token),
        "NEURON": given(subject.neuron),
        "EDGES": given(subject.edges),
        "ACTIVATION": given(subject.activation),
        # Of two prompts the page begins with what heads write.
        "PATCH": subject.activation or "z",
        "COLUMN": given(subject.column),
        "SCORE": selection["score"],
        "STEP": given(subject.step),
        "SWAP": selection["swap"],
        "KIND": selection["kind"],
        "WEIGHT": selection["weight"],
        "CLEAN": selection["clean"],
        "CORRUPT": selection["corrupt"],
        "INTO": selection["into"],
        "RECIPE": [step.listed for step in subject.steps],
        "ACTS": selection["acts"],
        "NEW_TOKENS": selection["write"],
        "TEMPERATURE": float(selection["temperature"]),
        "BEHIND_BOS": None if messages else selection["input"] == "repeated" or selection.bos,
        "OFFSETS": sorted({int(at) for at in selection["offsets"].split(",") if at}),
        "PROMPTS": _ABSENT
        if prompts is None
        else [prompts.of.prompts[r.index] for r in prompts.rows],
        "CORRUPTS": _ABSENT
        if prompts is None
        else [prompts.of.rows[r.index].corrupt for r in prompts.rows],
        "DEST_PLACE": selection["to"],
        "SRC_PLACE": selection["of"],
        "ANSWERS": _ABSENT if prompts is None else [row.answer for row in prompts.rows],
        "FOILS": _ABSENT if prompts is None else [row.foil for row in prompts.rows],
        "PLACES": _ABSENT if prompts is None else _places(prompts),
        "TOGETHER": _ABSENT if prompts is None else sets.together(subject),
        "TAIL": given(sets.tail_of(subject)),
        "GROUPS": [[(each.layer, each.head) for each in group] for group in subject.groups],
        "CIRCUITS": _circuits(subject) or _ABSENT,
        "SAMPLE": selection["sample"],
        "DRAW": selection["draw"],
    }


def _circuits(subject: Subject) -> list[object]:
    """Circuits by their heads, each with its chosen edges where some have any."""
    own = [[(head.layer, head.head) for head in each.heads] for each in subject.circuits]
    if not _is_wired(subject):
        return [*own]
    edges = [each.wires and [_ends(wire) for wire in each.wires] for each in subject.circuits]
    return [*zip(own, edges, strict=True)]


def _ends(wire: Wire) -> tuple[object, object]:
    """An edge as code of edges has it: who writes, and who reads."""
    reader = "logits" if wire.input == "logits" else (wire.layer, wire.head, wire.input)
    return (wire.writer.layer, wire.writer.head), reader


def _messages(selection: Selection) -> list[dict[str, str]]:
    """Turns of a conversation as transformers takes them; none where the input is another."""
    if selection["input"] != "chat":
        return []
    return [{"role": who, "content": text} for who, text in turns_of(selection["chat"])]


def _places(prompts: FittedSet) -> dict[str, list[int]]:
    """By name, where each place that every row has stands in the rows."""
    return {name: [row.places[name] for row in prompts.rows] for name in prompts.places}


def _part(need: str, subject: Subject) -> str:
    selection, info = subject.selection, subject.selection.info
    norm, post_norm = info.normalization, info.traits.post_norm
    single = selection["input"] != "repeated" or selection["batch"] == 1
    if subject.prompts is not None:
        single = False
    match need:
        case "difference":
            return sets.DIFFERENCE
        case "set":
            return sets.SET
        case "text":
            return parts.TEXT
        case "long":
            return parts.LONG
        case "run":
            return parts.RUN_WITHOUT if subject.without else parts.RUN
        case "pattern":
            return parts.PATTERN
        case "score":
            return parts.SCORE
        case "loss":
            return parts.LOSS
        case "z_hook":
            return parts.Z_HOOK
        case "metric":
            return sets.metric(subject)
        case "answers":
            return sets.answer_direction(subject)
        case "ablate":
            method = subject.method or selection["method"]
            return parts.REPLACEMENTS[method, single] + parts.ABLATE
        case "usual":
            return parts.USUAL[single]
        case "cut":
            return parts.CUTS[single]
        case "recipe":
            swaps = any(isinstance(step, Swap) for step in subject.steps)
            return parts.RECIPE.format(swap=parts.RECIPE_SWAP if swaps else "")
        case "write":
            return parts.WRITE
        case "answered":
            return parts.ANSWERED
        case "between":
            return parts.BETWEEN
        case "edges":
            return parts.EDGES
        case "kept_edges":
            return parts.KEPT_EDGES
        case "circuit":
            return sets.WIRED_CIRCUIT if _is_wired(subject) else sets.CIRCUIT
        case "matrices":
            return parts.MATRICES
        case "norm":
            return parts.THROUGH_NORM if norm else parts.NORM
        case "writes":
            return parts.POST_NORM_WRITES if post_norm else parts.WRITES
        case "reads":
            return parts.PLACED_READS if info.positions == "shortformer" else parts.READS
        case "weights":
            scaled = "" if info.kind == "native" else parts.EMBED_SCALE
            after = parts.POST_NORM_WEIGHTS if post_norm else ""
            return "".join([parts.WEIGHTS, scaled, after, parts.FOLDED[norm]])
        case "unembedding":
            return parts.UNEMBEDDINGS[norm]
        case "embedding":
            return _embedding(info)
        case "compared":
            turned = info.positions == "rotary" or info.traits.scores == "normed"
            bent = parts.BENT[info.traits.scores == "capped"]
            usual = parts.TURNED if turned else parts.COMPARED
            return (fitted.compared(info) or usual) + bent
        case "parts":
            return _components(info)
        case "targets":
            # The top guess is the whole model's, whatever is silenced.
            whole = "model(tokens)" if subject.without else "logits"
            return parts.TARGETS.format(logits=whole) + parts.NORMED_TARGETS[norm]
        case "readout":
            normed = "model.ln_final.original_component(stream)" if norm else "stream"
            return parts.READOUT.format(stream=normed)
        case "patched":
            return parts.PATCHED
        case _:
            return parts.PAIR


def _embedding(info: ModelInfo) -> str:
    if not (info.has_mlp and info.n_layers > 1 and info.traits.mlp_alone):
        return parts.EMBEDDING
    normed = "block.ln2(rows[None])" if info.normalization else "rows[None]"
    written = "block.ln2_post(written[None])[0]" if info.traits.post_norm else "written"
    return parts.EFFECTIVE_EMBEDDING.format(normed=normed, written=written)


def _components(info: ModelInfo) -> str:
    scale = 'cache[f"blocks.{LAYER}.ln1.hook_scale"]' if info.normalization else "1"
    return parts.PARTS.format(
        scale=scale,
        shift=parts.PARTS_SHIFT if info.normalization == "LN" and info.traits.norm_biases else "",
        positions=parts.PARTS_POSITIONS.get(info.positions, "").strip(),
    )


def _scale(info: ModelInfo, layer: int) -> float:
    """What a layer's q . k is multiplied by: measured, or for our own format known."""
    return info.scales[layer] if info.scales else 1 / math.sqrt(info.d_head)
