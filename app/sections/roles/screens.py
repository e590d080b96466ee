"""Which heads look like which role, the heads of one role, and the roles of one head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import streamlit as st

from analysis.definitions import DIRECT_EFFECT, ROLE_SCREENS, ROLES
from analysis.errors import AnalysisError
from analysis.head import Head
from app.compute import calls
from app.figures import roles as figures
from app.figures.base import head_map
from app.frame.clicks import draw_head_map, draw_options, draw_rows_to_choose, open_head
from app.frame.frame import draw_table, figure_frame
from app.links.parsers import Value
from app.links.session import choose, widget_key
from app.sections.roles.subject import RolesView
from app.text import chance_text

# Heads of each role that the overview shows, and that the table of one role lists.
OF_EACH, OF_ONE = 2, 8
_NUMBER = st.column_config.NumberColumn(format="%.3f")
# What a choice of another role gives up.
_ANEW: dict[str, Value] = {"layer": None, "head": None, "group": None, "judge": False}


def draw_overview(view: RolesView) -> None:
    """Every role, with the heads that look most like it."""
    screens = view.scores.screens
    known = [key for key, screen in screens.items() if np.isfinite(screen.values).any()]
    with figure_frame(
        view.subject,
        "Which heads look like which role",
        f"Screens on {len(view.prompts.rows)} prompts; 1 is a head that does nothing else. A "
        "screen says what a head looks like, and not whether it matters: the verdict below does.",
        ROLE_SCREENS,
        also=tuple(ROLES.values()),
        acts="Click a cell to look into that role and head, or tick a role.",
    ):
        st.caption(f"The first prompt: “{view.prompts.of.prompts[0]}” …")
        shown = sorted({head for key in known for head in _top(view, key, OF_EACH)})
        at = ([head.layer for head in shown], [head.head for head in shown])
        draw_options(
            figures.role_map(
                np.stack([screens[key].values[at] for key in known]),
                [ROLES[key].name for key in known],
                [head.label for head in shown],
                view.theme,
            ),
            "role-map",
            [
                {**_ANEW, "role": key, "layer": head.layer, "head": head.head}
                for key in known
                for head in shown
            ],
        )
        draw_rows_to_choose(
            [_row_of(view, key) for key in screens],
            [{**_ANEW, "role": key} for key in screens],
            "role-table",
            {"Screen": _NUMBER, "Chance": st.column_config.NumberColumn(format="%.4f")},
        )


def _row_of(view: RolesView, key: str) -> dict[str, object]:
    screen = view.scores.screens[key]
    found = view.scores.screened(key, 3)
    best = _top(view, key, 1)
    return {
        "Role": ROLES[key].name,
        "Family": ROLES[key].family,
        "Looks most like it": best[0].label if best else None,
        "Screen": float(screen.values[best[0].layer, best[0].head]) if best else None,
        "Chance": float(screen.chance) if best else None,
        "Above its threshold": ", ".join(head.label for head in found) if best else None,
        "Remark": f"needs {screen.lacks}" if screen.lacks else "",
    }


def _top(view: RolesView, key: str, count: int) -> tuple[Head, ...]:
    values = view.scores.screens[key].values
    if not np.isfinite(values).any():
        return ()
    order = np.argsort(-values, axis=None, kind="stable")[:count]
    return tuple(Head(*divmod(int(index), values.shape[1])) for index in order)


def draw_role(view: RolesView) -> None:
    """Every head's screen for one role, and the numbers of those that look most like it."""
    role, screen = view.role, view.screen
    chance = f" Chance is {chance_text(screen.chance)}." if np.isfinite(screen.chance) else ""
    with figure_frame(
        view.of_role,
        f"{role.name}: every head",
        f"{role.meaning}{chance} A head is said to look like it from {role.least:g} on.",
        role,
        acts="Click a cell to look into that head.",
    ):
        st.selectbox(
            "Role",
            list(ROLES),
            format_func=lambda key: ROLES[key].name,
            key=widget_key(view.selection, "role", shown=role.key),
            on_change=lambda: choose(**_ANEW),
        )
        if screen.lacks:
            st.info(f"This set cannot show it: it needs {screen.lacks}")
            return
        draw_head_map(
            head_map(screen.values, view.theme, unit="Screen", top=1, focus=view.focus), key="map"
        )


def draw_heads(view: RolesView) -> None:
    """The heads that look most like the role, with what their screens are made of."""
    role, screen = view.role, view.screen
    if screen.lacks:
        return
    heads = view.ranked(OF_ONE)
    direct = _direct(view)
    rows = []
    for head in heads:
        at = (head.layer, head.head)
        columns = {
            "Screen": screen.values,
            "95 % from": screen.low,
            "to": screen.high,
            "Attention": screen.attention,
            "Weights": screen.weights if screen.attention is not None else None,
            "Direct effect": direct,
        }
        rows.append(
            {"Head": head.label}
            | {
                name: float(values[at])
                for name, values in columns.items()
                if values is not None and np.isfinite(values[at])
            }
        )
    made = "It is attention times what the weights say. " if len(rows[0]) > 6 else ""
    over = f"over {screen.rows} rows" if screen.rows else "of the weights alone"
    with figure_frame(
        replace(view.subject, heads=heads),
        f"{role.name}: the heads most like it",
        f"The screen {over}, with its bootstrap interval. {made}The direct effect is what the head "
        "itself adds to the answer, in logits.",
        ROLE_SCREENS,
        also=(role, DIRECT_EFFECT),
        acts="Tick a row to look into that head.",
    ):
        draw_rows_to_choose(
            rows,
            [{"layer": head.layer, "head": head.head} for head in heads],
            "heads",
            {name: _NUMBER for name in rows[0] if name != "Head"},
        )


def draw_evidence(view: RolesView) -> None:
    """What one head looks like, by every role."""
    focus = view.focus
    at = (focus.layer, focus.head)
    with figure_frame(
        replace(view.subject, head=focus),
        f"What {focus.label} looks like",
        "Its screen for every role, beside chance, and how many heads look more like it.",
        ROLE_SCREENS,
        also=tuple(ROLES.values()),
    ):
        rows = [
            {
                "Role": ROLES[key].name,
                "Screen": float(screen.values[at]),
                "Chance": float(screen.chance),
                "Rank": int((screen.values > screen.values[at]).sum()) + 1,
                "Looks like it": "yes" if screen.values[at] >= ROLES[key].least else "",
            }
            for key, screen in view.scores.screens.items()
            if np.isfinite(screen.values[at])
        ]
        rows.sort(key=lambda row: -float(str(row["Screen"])))
        draw_table(
            rows,
            "evidence",
            {"Screen": _NUMBER, "Chance": st.column_config.NumberColumn(format="%.4f")},
        )
        if (direct := _direct(view)) is not None:
            st.caption(
                f"On these prompts it adds {direct[at]:+.2f} logits to the answer over the foil by "
                "itself; what it does by way of later heads is not in that."
            )
        open_head(view.selection, focus)


def _direct(view: RolesView) -> np.ndarray | None:
    """Direct effects of all heads; None where the model's heads have no write of their own."""
    try:
        return calls.mean_direct_effects(view.selection)
    except AnalysisError:
        return None
