"""Code that reproduces a quantity in a notebook with plain TransformerLens."""

import re
from collections.abc import Sequence

from analysis.catalog import BUNDLED as BUNDLED_MODELS
from analysis.definitions import Definition
from analysis.heads import Head
from app.selection import NO_HEAD, Selection, heads_in
from app.snippets import parts
from app.snippets.bodies import BODIES

_ORDER = ("run", "pattern", "score", "loss", "ablate", "weights", "targets", "pair")


def snippet(definitions: Sequence[Definition], selection: Selection, head: Head) -> str | None:
    """One program for all of `definitions` that have code; None where none has.

    Args:
        definitions: The quantities of a figure.
        selection: The view: its model and input are in the code.
        head: What `LAYER` and `HEAD` are.
    """
    known = [definition for definition in dict.fromkeys(definitions) if definition in BODIES]
    # A checkpoint lies in its model's folder under another name.
    if not known or selection.info.folder != BUNDLED_MODELS / selection.info.name:
        return None
    needs = {need for definition in known for need in BODIES[definition][0]}
    blocks = [parts.BUNDLED]
    blocks.append(parts.REPEATED if _repeated(selection, needs) else parts.PROMPT)
    blocks += [_part(need, selection) for need in _ORDER if need in needs]
    for definition in known:
        blocks += [f"# {definition.name}: {definition.unit}", BODIES[definition][1]]
        blocks.append("print(result)")
    code = "\n\n".join(block.strip() for block in blocks)
    constants = _constants(selection, head, "repeated" in needs)
    named = [f"{k} = {v!r}" for k, v in constants.items() if re.search(rf"\b{k}\b", code)]
    return "\n".join([*named, "", code, ""])


def _repeated(selection: Selection, needs: set[str]) -> bool:
    return selection["input"] == "repeated" or "repeated" in needs


def _constants(selection: Selection, head: Head, only_repeated: bool) -> dict[str, object]:
    """What the view sets. `repr` writes whatever a text may hold as a harmless literal."""
    repeated = selection["input"] == "repeated" or only_repeated
    second = Head(max(selection["layer2"], 0), max(selection["head2"], 0))
    kept = heads_in(selection["keep"]) if selection["keep"] != NO_HEAD else ()
    return {
        "NAME": selection.info.name,
        "LAYER": head.layer,
        "HEAD": head.head,
        "S": selection["length"] if repeated else None,
        "PROMPT": selection["prompt"],
        "PREPEND_BOS": selection["bos"],
        "BATCH": selection["batch"],
        "SEED": selection["seed"],
        "WRITER": (second.layer, second.head),
        "KEPT": [(each.layer, each.head) for each in kept],
        "ANSWER": selection["answer"],
        "FOIL": selection["foil"],
        "TOKEN": selection["token"] or " the",
        "KIND": selection["kind"],
        "NEURON": max(selection["neuron"], 0),
        "CLEAN": selection["clean"],
        "CORRUPT": selection["corrupt"],
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
        case "weights":
            return parts.FOLDED_WEIGHTS if normed else parts.WEIGHTS
        case "targets":
            return parts.TARGETS + (parts.NORMED_TARGETS if normed else "")
        case _:
            return parts.PAIR
