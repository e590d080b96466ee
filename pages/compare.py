"""Compare: two prompts, heads or models, or a head with and without another one, side by side."""

import numpy as np
import streamlit as st

from analysis.definitions import HALF_LOSS, LOSS, PATTERN, SCORES
from analysis.heads import Head
from app import backend
from app.chosen_heads import ablated_head, focus_head, pick_head, second_head
from app.comparison import Side, other_models
from app.frame import figure_frame, open_head
from app.pattern_pair import Pane, pattern_pair
from app.selection import choose, open_page
from app.sequences import choose_sequence
from app.theme import palette

CHOICES = {
    "ablate": "With and without a head",
    "head": "Two heads",
    "prompt": "Two prompts",
    "model": "Two models",
}


def begin_with_prompts(key: str) -> None:
    """Two prompts are compared as prompts, so the sidebar shows the first one."""
    if st.session_state[key] == "prompt":
        choose(input="prompt")


def sides() -> tuple[Side, Side]:
    """Both sides, with the pickers that change them."""
    left, right = st.columns(2, border=True)
    with left:
        head = pick_head(selection, "A", focus_head(selection))
    a = Side(head.label, selection, head)
    with right:
        match selection["by"]:
            case "ablate":
                every = [
                    Head(layer, h).label
                    for layer in range(info.n_layers)
                    for h in range(info.n_heads)
                ]
                label = st.selectbox(
                    f"B: {head.label} again, without",
                    every,
                    key=selection.key("ablate", shown=ablated_head(selection, head).label),
                    help="The head's output z is replaced by zero: heads of later layers no longer "
                    "hear from it.",
                )
                b = Side(f"{head.label} without {label}", selection, head, (Head.parse(label),))
            case "head":
                other = pick_head(selection, "B", second_head(selection, head), "2")
                a, b = Side(head.label, selection, head), Side(other.label, selection, other)
            case "prompt":
                st.text_area("B: second prompt", height=100, key=selection.key("prompt2"))
                changed = selection.with_values(input="prompt", prompt=selection["prompt2"])
                its = "first prompt" if selection["input"] == "prompt" else "repeated tokens"
                a = Side(f"{head.label}, {its}", selection, head)
                b = Side(f"{head.label}, second prompt", changed, head)
            case _:
                names = [model.name for model in other_models(selection)]
                shown = selection["model2"] if selection["model2"] in names else names[0]
                name = st.selectbox(
                    "B: second model", names, key=selection.key("model2", shown=shown)
                )
                changed = selection.with_values(model=name)
                same = Head(
                    min(head.layer, changed.info.n_layers - 1),
                    min(head.head, changed.info.n_heads - 1),
                )
                a = Side(f"{head.label} of {info.name}", selection, head)
                b = Side(f"{same.label} of {name}", changed, same)
    return a, b


selection = open_page("compare")
info = selection.info
tokens = backend.tokens_of(selection)
by = selection.key("by")
st.segmented_control(
    "What differs",
    list(CHOICES),
    format_func=CHOICES.__getitem__,
    required=True,
    key=by,
    on_change=begin_with_prompts,
    args=(by,),
)
if selection["model2"] and selection["model2"] not in [m.name for m in other_models(selection)]:
    st.text("⚠ The link's second model is not here, or is the first one again.")
if selection["by"] == "model" and not other_models(selection):
    st.info(
        f"There is no second model yet: {info.title} is the only one here. Compare two heads or "
        "two prompts of it instead."
    )
    st.stop()
a, b = sides()
if a.head.layer == 0 and b.without:
    st.caption(
        f"{a.head.label} is in the first layer, so no other head comes before it and both sides "
        "are alike. Choose a head of a later layer."
    )
elif b.without and b.without[0].layer >= a.head.layer:
    st.caption(
        f"{b.without[0].label} does not come before {a.head.label}, so both sides are alike. "
        "Ablate a head of an earlier layer."
    )
if selection["by"] == "prompt" and selection["input"] == "repeated":
    st.caption("A is repeated tokens; choose Prompt in the sidebar to compare two prompts.")
row = choose_sequence(selection, tokens)


def pane(side: Side) -> Pane:
    """What is drawn of a side."""
    its_tokens = backend.tokens_of(side.selection)
    labels = backend.one_sequence(its_tokens, row).labels[0]
    part = " on the second half" if its_tokens.half_length is not None else ""
    note = f"Loss {side.loss():.3f} nats per token{part}"
    return Pane(side.name, note, side.pattern(row), labels)


with figure_frame(
    f"{a.name} beside {b.name}",
    "Each row is a destination and shows where it looks back to. In the difference blue is more "
    "attention in B, red less.",
    PATTERN,
    LOSS,
    HALF_LOSS,
):
    pattern_pair(pane(a), pane(b), palette(), key="pair")
    for column, head in zip(st.columns(2), dict.fromkeys([a.head, b.head]), strict=False):
        with column:
            open_head(selection, head)

scores_a, scores_b = a.scores(), b.scores()
ours = np.array([scores_a[name][a.head.layer, a.head.head] for name in SCORES])
theirs = np.array([scores_b[name][b.head.layer, b.head.head] for name in SCORES])
with figure_frame(
    "Scores of both",
    "Over all sequences. An empty cell cannot be known from these tokens: no token comes twice.",
    *SCORES.values(),
):
    st.dataframe(
        {
            "Score": [definition.name for definition in SCORES.values()],
            f"A: {a.name}": ours,
            f"B: {b.name}": theirs,
            "B − A": theirs - ours,
            "Chance in A": [scores_a.chance[name] for name in SCORES],
        },
        hide_index=True,
        column_config={
            f"A: {a.name}": st.column_config.NumberColumn(format="%.3f"),
            f"B: {b.name}": st.column_config.NumberColumn(format="%.3f"),
            "B − A": st.column_config.NumberColumn(format="%+.3f"),
            "Chance in A": st.column_config.NumberColumn(format="%.3f"),
        },
    )
