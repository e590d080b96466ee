"""Code that reproduces a quantity in a notebook with plain TransformerLens."""

import re
from collections.abc import Sequence

from analysis.definitions import Quantity
from analysis.head import Head
from analysis.models.catalog import BUNDLED as BUNDLED_MODELS
from analysis.models.info import ModelInfo
from app.frame.snippets import parts
from app.links.parsers import NO_HEAD, heads_in
from app.links.selection import Selection

_ORDER = (
    *("run", "pattern", "score", "loss", "ablate", "cut", "edges"),
    *("weights", "parts", "targets", "pair"),
)


def snippet(definitions: Sequence[Quantity], selection: Selection, head: Head) -> str | None:
    """One program for all of `definitions` that have code; None where none has.

    Args:
        definitions: The quantities of a figure.
        selection: The view: its model and input are in the code.
        head: What `LAYER` and `HEAD` are.
    """
    bundled = selection.info.folder.parent == BUNDLED_MODELS
    of_any = _loads_by_name(selection.info)
    known = [
        quantity
        for quantity in dict.fromkeys(definitions)
        if quantity.code and (bundled or (of_any and quantity.any_model))
    ]
    if not known:
        return None
    needs = {need for quantity in known for need in quantity.needs}
    blocks = [parts.BUNDLED if bundled else parts.HUGGING_FACE]
    blocks.append(parts.REPEATED if _repeated(selection, needs) else parts.PROMPT)
    blocks += [_part(need, selection) for need in _ORDER if need in needs]
    for quantity in known:
        blocks += [f"# {quantity.name}: {quantity.unit}", quantity.code]
        blocks.append("print(result)")
    code = "\n\n".join(block.strip() for block in blocks)
    constants = _constants(selection, head, "repeated" in needs)
    named = [f"{k} = {v!r}" for k, v in constants.items() if re.search(rf"\b{k}\b", code)]
    return "\n".join([*named, "", code, ""])


def _loads_by_name(info: ModelInfo) -> bool:
    """Whether transformers loads it from one folder or name: not our formats, no checkpoint."""
    return info.kind != "native" and info.step is None


def _repeated(selection: Selection, needs: set[str]) -> bool:
    return selection["input"] == "repeated" or "repeated" in needs


def _constants(selection: Selection, head: Head, only_repeated: bool) -> dict[str, object]:
    """What the view sets. `repr` writes whatever a text may hold as a harmless literal."""
    repeated = selection["input"] == "repeated" or only_repeated
    second = Head(max(selection["layer2"], 0), max(selection["head2"], 0))
    kept = heads_in(selection["keep"]) if selection["keep"] != NO_HEAD else ()
    info = selection.info
    return {
        "NAME": info.folder.name,
        # Without a source it is a folder of a person's own, beside the notebook.
        "SOURCE": info.source or info.folder.name,
        "REVISION": info.commit or info.revision or None,
        "WEIGHTS": str(info.weights.relative_to(info.folder)),
        "LAYER": head.layer,
        "HEAD": head.head,
        "S": selection["length"] if repeated else None,
        "PROMPT": selection["prompt"],
        "PREPEND_BOS": selection.bos,
        "BATCH": selection["batch"],
        "SEED": selection["seed"],
        "SWAP": selection["swap"],
        "WRITER": (second.layer, second.head),
        "KEPT": [(each.layer, each.head) for each in kept],
        "ANSWER": selection["answer"],
        "FOIL": selection["foil"],
        "TOKEN": selection["token"] or " the",
        "KIND": selection["kind"],
        "NEURON": max(selection["neuron"], 0),
        "CLEAN": selection["clean"],
        "CORRUPT": selection["corrupt"],
        "INTO": selection["into"],
        "EDGES": selection["edges"],
        "OFFSETS": sorted({int(at) for at in selection["offsets"].split(",") if at}),
        "ROW": min(selection["sequence"], selection["batch"] - 1) if repeated else 0,
        "DEST": selection["dest"],
        "SRC": selection["src"],
    }


def _part(need: str, selection: Selection) -> str:
    normed = selection.info.normalization is not None
    match need:
        case "run":
            return parts.RUN
        case "pattern":
            return parts.PATTERN
        case "score":
            return parts.SCORE
        case "loss":
            return parts.LOSS
        case "ablate":
            return parts.REPLACEMENTS[selection["method"]] + parts.ABLATE
        case "cut":
            # A mean over sequences needs several.
            several = selection["input"] == "repeated" and selection["batch"] > 1
            return parts.CUTS["mean" if several else "zero"]
        case "edges":
            return parts.EDGES
        case "weights":
            return parts.FOLDED_WEIGHTS if normed else parts.WEIGHTS
        case "parts":
            return parts.PARTS
        case "targets":
            return parts.TARGETS + (parts.NORMED_TARGETS if normed else "")
        case _:
            return parts.PAIR
