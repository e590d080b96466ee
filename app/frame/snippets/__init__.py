"""Code that reproduces a figure in a notebook with plain TransformerLens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis.definitions import Quantity
from analysis.models.catalog import BUNDLED as BUNDLED_MODELS
from analysis.models.info import ModelInfo
from app.frame.snippets import parts
from app.links.subject import Subject

if TYPE_CHECKING:
    from analysis.sets.fitted import FittedSet

_ORDER = (
    *("set", "run", "pattern", "score", "loss", "ablate", "usual", "cut", "pair", "between"),
    *("edges", "weights", "embedding", "norm", "parts", "targets", "patched"),
)
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
    programs = [_program(definitions, side) for side in (subject, subject.second) if side]
    known = [program for program in programs if program]
    if len(known) < 2:
        return known[0] if known else None
    return "\n\n".join(f"# {side}\n{code}" for side, code in zip("AB", known, strict=True))


def _program(definitions: Sequence[Quantity], subject: Subject) -> str | None:
    info = subject.selection.info
    bundled = info.folder.parent == BUNDLED_MODELS
    of_any = _loads_by_name(info)
    known = [
        quantity
        for quantity in dict.fromkeys(definitions)
        if quantity.code
        and (bundled or (of_any and quantity.any_model))
        and ("set" not in quantity.needs or _of_one_length(subject))
    ]
    if not known:
        return None
    needs = {need for quantity in known for need in quantity.needs}
    repeated = subject.selection["input"] == "repeated" or "repeated" in needs
    blocks = [parts.BUNDLED if bundled else parts.HUGGING_FACE]
    if not needs & {"pair", "set"}:  # which stand in place of the input
        blocks.append(parts.REPEATED if repeated else parts.PROMPT)
    for need in _ORDER:
        if need not in needs:
            continue
        part = _part(need, subject)
        if "elsewhere[" in part and parts.REFERENCE not in blocks:
            blocks.append(parts.REFERENCE)
        blocks.append(part)
    for quantity in known:
        blocks += [f"# {quantity.name}: {quantity.unit}", quantity.code]
        blocks += [_narrowed(quantity.axes, subject), "print(result)"]
    code = "\n\n".join(block.strip() for block in blocks if block)
    used = set(_CONSTANT.findall(code))
    constants = _constants(subject, repeated)
    for name in (each for each in constants if each in used):
        if constants[name] is _ABSENT:
            raise NotInSubject(
                f"the code of {', '.join(d.name for d in known)} needs {name}, "
                f"which is not in the subject of the figure"
            )
    named = [f"{name} = {value!r}" for name, value in constants.items() if name in used]
    return "\n".join([*named, "", code, ""])


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


def _loads_by_name(info: ModelInfo) -> bool:
    """Whether transformers loads it from one folder or name: not our formats, no checkpoint."""
    return info.kind != "native" and info.step is None


_ABSENT = object()  # stands for what a subject does not have


def _constants(subject: Subject, repeated: bool) -> dict[str, object]:
    """What the subject sets. `repr` writes whatever a text may hold as a harmless literal."""
    selection, prompts = subject.selection, subject.prompts
    info, head, writer = selection.info, subject.head, subject.writer
    heads = subject.heads or ((head,) if head else ())

    def given(value: object) -> object:
        return _ABSENT if value is None else value

    return {
        "NAME": info.folder.name,
        # Without a source it is a folder of a person's own, beside the notebook.
        "SOURCE": info.source or info.folder.name,
        "REVISION": info.commit or info.revision or None,
        "WEIGHTS": str(info.weights.relative_to(info.folder)),
        "LAYER": given(head.layer if head else subject.layer),
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
        "PREPEND_BOS": selection.bos,
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
        "GROUPS": [[(each.layer, each.head) for each in group] for group in subject.groups],
        "SAMPLE": selection["sample"],
        "DRAW": selection["draw"],
    }


def _places(prompts: FittedSet) -> dict[str, list[int]]:
    """By name, where each place that every row has stands in the rows."""
    return {name: [row.places[name] for row in prompts.rows] for name in prompts.places}


def _part(need: str, subject: Subject) -> str:
    selection = subject.selection
    normed = selection.info.normalization is not None
    single = selection["input"] == "prompt" or selection["batch"] == 1
    if subject.prompts is not None:
        single = len(subject.prompts.rows) == 1
    match need:
        case "set":
            return parts.SET
        case "run":
            return parts.RUN_WITHOUT if subject.without else parts.RUN
        case "pattern":
            return parts.PATTERN
        case "score":
            return parts.SCORE
        case "loss":
            return parts.LOSS
        case "ablate":
            method = subject.method or selection["method"]
            return parts.REPLACEMENTS[method, single] + parts.ABLATE
        case "usual":
            return parts.USUAL[single]
        case "cut":
            return parts.CUTS[single]
        case "between":
            return parts.BETWEEN
        case "edges":
            return parts.EDGES
        case "weights":
            return parts.FOLDED_WEIGHTS if normed else parts.WEIGHTS
        case "embedding":
            behind_mlp = selection.info.has_mlp and selection.info.n_layers > 1
            return parts.EFFECTIVE_EMBEDDING if behind_mlp else parts.EMBEDDING
        case "norm":
            return parts.THROUGH_NORM if normed else parts.NORM
        case "parts":
            return parts.PARTS
        case "targets":
            return parts.TARGETS + (parts.NORMED_TARGETS if normed else "")
        case "patched":
            return parts.PATCHED
        case _:
            return parts.PAIR
