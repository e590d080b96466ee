"""The numbers that can be kept: where each is shown, what settles it, and how it is read again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Literal

from analysis.definitions import (
    ABLATION,
    ABLATION_OVER_SET,
    ATTENTION_OVER_SET,
    ATTRIBUTION,
    COMPOSITION,
    COPYING,
    DIRECT_EFFECT,
    EIGENVALUES,
    HALF_LOSS,
    LOSS,
    PATCHING_OVER_SET,
    PATTERN,
    ROLES,
    SCORE_OVER_SET,
    SCORES,
    VERDICT,
    Quantity,
)
from analysis.definitions.role import Role
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.limits import role_size
from analysis.models.catalog import find_model
from app.compute import calls
from app.links.parameters import BY_KEY, OWN_SET, PARAMETERS
from app.links.parsers import Value, heads_in
from app.links.selection import Selection, second_model
from app.links.subject import Subject

# What a model is run on, and what settles that.
_INPUTS: dict[str, tuple[str, ...]] = {
    "prompt": ("input", "prompt", "bos"),
    "chat": ("input", "chat"),
    "repeated": ("input", "length", "batch", "seed"),
}
_SET = ("set", "rows", "seed", "bos")
_HEAD = ("layer", "head")
# Settings that may be left open, for what comes next; of others a number needs to know.
OPEN = {"answer", "foil"}


@dataclass(frozen=True, slots=True)
class Reading:
    """One number of a view that can be read again.

    Args:
        key: Its name in files; it never changes its meaning.
        quantity: What it is.
        page: Where it is shown.
        on: What is run: the view's input, a set of prompts, or nothing but the weights.
        settings: The parameters of links that settle it, beside the model and what is run.
        read: Reads it.
        subject: What it is about, for its code.
        take: What of the code's `result` it is.
        name: What it is called, where the quantity is more than this number.
        shown_by: What else its view needs so that the page shows it.
    """

    key: str
    quantity: Quantity
    page: str
    on: Literal["input", "weights", "set"]
    settings: tuple[str, ...]
    read: Callable[[Selection], float]
    subject: Callable[[Selection], Subject]
    take: Callable[[Selection], str] = lambda selection: "result"
    name: str = ""
    shown_by: Mapping[str, Value] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What it is called."""
        return self.name or self.quantity.name

    def settled_by(self, values: Mapping[str, Value]) -> tuple[str, ...]:
        """The parameters that settle it; which ones say what is run, the values tell."""
        run: tuple[str, ...] = ()
        if self.on == "input":
            run = _INPUTS.get(str(values.get("input")), _INPUTS["prompt"])
        elif self.on == "set":
            run = (*_SET, "lines") if values.get("set") == OWN_SET else _SET
        return ("model", *run, *self.settings)

    def settings_from(self, values: Mapping[str, Value], **others: Value) -> dict[str, Value]:
        """What settles it, of a view's values and of those that are said beside them."""
        known = {**values, **others}
        if "swap" in self.settings and known.get("method") != "resample":
            known["swap"] = 0
        return {key: known[key] for key in self.settled_by(known)}


def selection_of(reading: Reading, settings: Mapping[str, Value]) -> Selection:
    """The view that shows a number.

    Raises:
        AnalysisError: The model is not here, or does not have what the settings name.
    """
    info = find_model(str(settings["model"]))
    defaults = {p.key: p.default_on(reading.page, info.name) for p in PARAMETERS}
    values = {**defaults, **settings, **reading.shown_by}
    for key in settings:
        if (fits := BY_KEY[key].fits) is not None:
            _, refusal = fits.fit(values[key], values, info, second_model(values, info))
            if refusal:
                raise AnalysisError(refusal)
    return Selection(reading.page, MappingProxyType(values), info)


def _head(selection: Selection) -> Head:
    return Head(selection["layer"], selection["head"])


def _writer(selection: Selection) -> Head:
    return Head(selection["layer2"], selection["head2"])


def _of_head(selection: Selection) -> Subject:
    return Subject(selection, head=_head(selection))


def _score(key: str, selection: Selection) -> float:
    return float(calls.scores(selection)[key][selection["layer"], selection["head"]])


def _cell(selection: Selection) -> float:
    head, dest, src = _head(selection), selection["dest"], selection["src"]
    found = calls.patterns(selection, selection["sequence"], (head.layer,)).values[0, 0, head.head]
    if not 0 <= src <= dest < len(found):
        raise AnalysisError(
            f"There is no cell from {dest} to {src}: a destination is below {len(found)}, and its "
            "source does not come after it."
        )
    return float(found[dest, src])


def _half_loss(selection: Selection) -> float:
    if selection["input"] != "repeated":
        raise AnalysisError("The loss on the second half is about repeated tokens.")
    tokens = calls.tokens_of(selection)
    return calls.next_token_stats(selection).half_losses(tokens)[1]


def _composition(selection: Selection) -> float:
    reader, writer = _head(selection), _writer(selection)
    values = calls.composition(selection, selection["kind"]).values
    return float(values[writer.layer, writer.head, reader.layer, reader.head])


def _pair(selection: Selection) -> str:
    reader, writer = _head(selection), _writer(selection)
    return f"result[{writer.layer}, {writer.head}, {reader.layer}, {reader.head}]"


def _added(selection: Selection) -> float:
    answer, foil = _target(selection, "answer"), _target(selection, "foil")
    found = calls.attribution(selection, selection["sequence"], answer, foil)
    at = _position(selection, found.values.shape[1])
    return float(found.values[0, at, found.heads[_head(selection)]])


def _position(selection: Selection, count: int) -> int:
    at = int(selection["position"])
    if at >= count:
        raise AnalysisError(f"There is no position {at}; they run from 0 to {count - 1}.")
    return at


def _target(selection: Selection, key: str) -> int | None:
    return calls.single_token(selection, str(selection[key])) if selection[key] else None


def _adds(selection: Selection) -> Subject:
    return Subject(
        selection,
        sequence=selection["sequence"],
        dest=selection["position"],
        answer=_target(selection, "answer"),
        foil=_target(selection, "foil"),
    )


def _component(selection: Selection) -> str:
    # By the code's own names: which components there are is the model's.
    return f'result[list(parts).index("{_head(selection).label}")]'


def _goes_on(done: int, total: int) -> None:
    """Nobody watches how far it is."""


def _screen(key: str, selection: Selection) -> float:
    screens = calls.role_scores(selection, _goes_on).screens
    return float(screens[key].values[selection["layer"], selection["head"]])


def _looks_like(role: Role, selection: Selection) -> Subject:
    if role.tokens == "set":
        return Subject(selection, head=_head(selection), prompts=calls.fitted_set(selection))
    info = selection.info
    length, batch = role_size(info.n_layers, info.n_heads, info.n_ctx)
    random = selection.with_values(input="repeated", length=length, batch=batch)
    return Subject(random, head=_head(selection))


def _effect(selection: Selection) -> float:
    role = ROLES[selection["role"]]
    group = heads_in(selection["group"])
    return calls.verdict(selection, group, role.opposes, _goes_on).effect


def _group(selection: Selection) -> Subject:
    group = heads_in(selection["group"])
    return Subject(
        selection,
        heads=group,
        groups=(group,),
        method=selection["method"],
        prompts=calls.fitted_set(selection),
    )


def _mean(selection: Selection) -> float:
    mean = calls.by_row(selection, _goes_on).spread().mean
    return float(mean[selection["layer"], selection["head"]])


def _of_rows(selection: Selection) -> Subject:
    """A head on the rows that have the number; the other side of a set is read as a set."""
    found = calls.by_row(selection, _goes_on)
    sided = selection["measure"] in ("attention", "score") and selection["side"] == "corrupt"
    prompts = calls.fitted_set(selection, corrupt=sided).only(found.rows.tolist())
    return Subject(selection, head=_head(selection), prompts=prompts, method=selection["method"])


def _over_set(
    quantity: Quantity, measure: str, settings: tuple[str, ...], score: str = ""
) -> Reading:
    """A head's mean over a set of what is measured on each of its rows."""
    measured: dict[str, Value] = {"measure": measure, **({"score": score} if score else {})}
    code, needs = quantity.code, quantity.needs
    if score:
        code, needs = SCORES[score].code, ("by_row", *SCORES[score].needs)
    return Reading(
        f"mean-{score or measure}",
        replace(quantity, code=code, needs=(*needs, "mean")),
        "sets",
        "set",
        (*_HEAD, *settings),
        _mean,
        _of_rows,
        name=f"{SCORES[score].name}, mean over the set" if score else "",
        shown_by=measured,
    )


READINGS: dict[str, Reading] = {
    reading.key: reading
    for reading in (
        *(
            Reading(key, score, "head", "input", _HEAD, partial(_score, key), _of_head)
            for key, score in SCORES.items()
        ),
        Reading(
            "pattern",
            PATTERN,
            "head",
            "input",
            (*_HEAD, "sequence", "dest", "src"),
            _cell,
            lambda selection: Subject(
                selection, head=_head(selection), sequence=selection["sequence"]
            ),
            lambda selection: f"result[{selection['dest']}, {selection['src']}]",
        ),
        Reading(
            "ablation",
            ABLATION,
            "head",
            "input",
            (*_HEAD, "method", "swap"),
            lambda selection: (
                calls.head_ablation(selection, _head(selection), selection["method"]).value
            ),
            _of_head,
        ),
        Reading(
            "loss",
            LOSS,
            "tokens",
            "input",
            (),
            lambda selection: calls.next_token_stats(selection).loss,
            Subject,
        ),
        Reading(
            "second_half_loss",
            HALF_LOSS,
            "induction",
            "input",
            (),
            _half_loss,
            Subject,
            lambda selection: "result[1]",
            "Loss on the second half",
        ),
        Reading(
            "attribution",
            ATTRIBUTION,
            "attribution",
            "input",
            (*_HEAD, "sequence", "position", "answer", "foil"),
            _added,
            _adds,
            _component,
        ),
        Reading(
            "copying",
            COPYING,
            "head",
            "weights",
            _HEAD,
            lambda selection: calls.ov_copying(selection, (_head(selection),)).accuracy[1],
            lambda selection: Subject(selection, heads=(_head(selection),), on_input=False),
            lambda selection: "result[0, 0]",
        ),
        Reading(
            "eigenvalue",
            EIGENVALUES,
            "head",
            "weights",
            _HEAD,
            lambda selection: float(
                calls.ov_eigenvalues(selection).vocabulary_score[
                    selection["layer"], selection["head"]
                ]
            ),
            lambda selection: Subject(selection, head=_head(selection), on_input=False),
            lambda selection: "result[1]",
        ),
        Reading(
            "composition",
            COMPOSITION,
            "composition",
            "weights",
            ("kind", *_HEAD, "layer2", "head2"),
            _composition,
            lambda selection: Subject(
                selection, head=_head(selection), writer=_writer(selection), on_input=False
            ),
            _pair,
        ),
        *(
            Reading(
                f"role-{key}",
                role,
                "roles",
                "set",
                _HEAD,
                partial(_screen, key),
                partial(_looks_like, role),
                lambda selection: f"result[{selection['layer']}, {selection['head']}]",
                shown_by={"input": "set", "role": key},
            )
            for key, role in ROLES.items()
        ),
        Reading(
            "verdict",
            VERDICT,
            "roles",
            "set",
            ("role", "group", "method"),
            _effect,
            _group,
            lambda selection: "result[0]",
            "Ablation effect over the set",
            {"input": "set", "judge": True},
        ),
        _over_set(ATTENTION_OVER_SET, "attention", ("to", "of", "side")),
        *(_over_set(SCORE_OVER_SET, "score", ("side",), score) for score in SCORES),
        _over_set(DIRECT_EFFECT, "direct", ()),
        _over_set(ABLATION_OVER_SET, "ablation", ("method", "swap")),
        _over_set(PATCHING_OVER_SET, "patching", ()),
    )
}
