"""The sections of the page on circuits: what heads do by their weights alone."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from analysis.definitions import (
    COPYING,
    EIGENVALUES,
    FACTORED_MATRIX,
    K_COMPOSITION_CIRCUIT,
    OV_CIRCUIT,
    OV_DIRECTIONS,
    OV_SAMPLE,
    POSITIONAL_PATTERN,
    TOKEN_OUTPUTS,
    TOKEN_PREFERENCES,
)
from analysis.head import Head
from app.compute import calls
from app.figures import base as figures
from app.figures import circuits as circuit_figures
from app.frame.clicks import draw_head_map
from app.frame.export import as_rows
from app.frame.frame import Metric, draw, draw_metrics, draw_table, figure_frame, part
from app.frame.layout import METRIC
from app.links.parameters import DEFAULT_PROMPT, MAX_SAMPLE, MIN_SAMPLE
from app.links.selection import Selection
from app.links.session import widget_key
from app.links.subject import Subject
from app.pickers.heads import joint_heads, pick_joint_heads
from app.pickers.token import pick_token, token_of
from app.sections.shared.cancel import stoppable
from app.sections.shared.token import draw_token_circuits
from app.shell.theme import palette
from app.text import short_token, within

DIRECTIONS = 6
TOKENS_OF_A_DIRECTION = 5


def draw_copying(selection: Selection) -> None:
    """Whether heads copy: each alone, and all of them as one."""
    heads = joint_heads(selection)
    with figure_frame(
        Subject(selection, heads=heads, on_input=False),
        "Do they copy?",
        "The share of all tokens that a head raises most when it attends to them. Heads that copy "
        "only some tokens each can together copy nearly all.",
        COPYING,
    ):
        pick_joint_heads(selection, heads)
        groups: dict[str, tuple[Head, ...]] = {head.label: (head,) for head in heads}
        if len(heads) > 1:
            groups["together"] = heads
        with part():
            found = {}
            for name, group in groups.items():
                with stoppable(f"{name}: every token of the vocabulary") as progress:
                    found[name] = calls.ov_copying(selection, group, progress)
            result = list(found.values())[-1]
            whole = "Together" if len(heads) > 1 else heads[0].label
            # A row that breaks: columns would cut the numbers off on a narrow screen.
            bar = st.container(horizontal=True)
            for k, share in result.accuracy.items():
                which = "top guess" if k == 1 else f"top {k}"
                bar.metric(f"{whole}: {which}", f"{share:.2%}", border=True, width=METRIC)
            chance = 1 / selection.info.d_vocab
            bar.metric("Chance: top guess", f"{chance:.2%}", border=True, width=METRIC)
            accuracy = {k: [each.accuracy[k] for each in found.values()] for k in result.k}
            draw(circuit_figures.copying_bars(list(found), accuracy, palette()), key="copying")
            st.caption(f"Over all {selection.info.d_vocab:,} tokens. {result.assumes}")


def draw_ov(selection: Selection) -> None:
    """The OV circuit on a few tokens, where copying is a diagonal."""
    heads = joint_heads(selection)
    names = ", ".join(head.label for head in heads)
    with figure_frame(
        Subject(selection, heads=heads, on_input=False),
        f"OV circuit of {names}",
        "Rows are tokens attended to, columns the logits that this raises (blue) or lowers (red). "
        "A blue diagonal is copying.",
        OV_SAMPLE,
        also=(OV_CIRCUIT,),
    ):
        bar = st.container(horizontal=True, vertical_alignment="bottom")
        bar.slider(
            "Tokens drawn from the vocabulary",
            MIN_SAMPLE,
            MAX_SAMPLE,
            key=widget_key(selection, "sample"),
            width=320,
        )
        bar.number_input(
            "Which tokens",
            0,
            key=widget_key(selection, "draw"),
            width=140,
            help="The seed they are drawn with: another number, other tokens.",
        )
        with part():
            sample = calls.ov_sample(selection, heads)
            draw(
                circuit_figures.ov_map(sample.values, sample.ids, sample.labels, palette()),
                key="ov",
            )
            st.caption(sample.assumes)


def draw_eigenvalues(selection: Selection, head: Head) -> None:
    """The eigenvalue copying score of every head, and one head's eigenvalues."""
    with (
        figure_frame(
            Subject(selection, on_input=False),
            "Eigenvalue copying score of every head",
            "+1: a head writes back what it reads, its eigenvalues lie to the right; -1: the "
            "opposite, they lie to the left.",
            EIGENVALUES,
            acts="Click a cell to put that head in focus.",
        ),
        part(),
    ):
        result = calls.ov_eigenvalues(selection)
        maps = (
            (
                "Through the vocabulary",
                "token to token, W_E W_V W_O W_U: this is the one that says whether tokens are "
                "copied, since embedding and unembedding are different matrices here.",
                result.vocabulary_score,
                result.vocabulary_values,
            ),
            (
                "Within the residual stream",
                "d_model to d_model, W_V W_O: a head can copy tokens and score low here, where "
                "what it reads and what it writes are compared as directions of the stream.",
                result.score,
                result.values,
            ),
        )
        for name, meaning, score, _ in maps:
            st.markdown(f"**{name}**: {figures.plotly_text(meaning)}")
            figure = figures.head_map(
                score, palette(), unit="score", diverging=True, top=1, focus=head
            )
            draw_head_map(figure, key=f"eigenvalues {name}")
        st.markdown(f"**Eigenvalues of {head.label}** in the complex plane")
        for column, (name, _, score, values) in zip(st.columns(2), maps, strict=True):
            with column:
                st.caption(f"{name}, score {score[head.layer, head.head]:+.2f}")
                mine = values[head.layer, head.head]
                draw(circuit_figures.eigenvalue_plane(mine, palette()), key=f"plane {name}")
        st.caption(result.assumes)


def draw_directions(selection: Selection, head: Head) -> None:
    """The singular directions of one head's OV, as tokens."""
    with (
        figure_frame(
            Subject(selection, head=head, on_input=False),
            f"What {head.label} moves: the strongest directions of its OV",
            "Each direction reads along one line and writes along another. Both ends are shown: "
            "+ tokens raise + tokens, - tokens raise - tokens.",
            OV_DIRECTIONS,
        ),
        part(),
    ):
        result = calls.ov_svd(selection, head, DIRECTIONS, TOKENS_OF_A_DIRECTION)
        draw(circuit_figures.singular_bars(result.singular_values, palette()), key="singular")
        rows = [
            {
                "Direction": f"{i} {sign}",
                "Tokens read": _tokens(read.labels),
                "Tokens written": _tokens(written.labels),
            }
            for i, direction in enumerate(result.directions)
            for sign, read, written in (
                ("+", direction.read, direction.written),
                ("-", direction.opposite_read, direction.opposite_written),
            )
        ]
        draw_table(
            rows,
            "directions",
            {"Direction": st.column_config.TextColumn(width=70)},
            height="content",
        )
        st.caption(result.assumes)


def draw_token(selection: Selection, head: Head) -> None:
    """What one head does with one token that is typed, or one of the input."""
    with (
        figure_frame(
            Subject(selection, head=head, on_input=False),
            f"One token through {head.label}",
            "QK says which tokens it looks for and which look for it, OV what attending to it "
            "writes: from the embeddings alone, without positions and earlier heads.",
            TOKEN_PREFERENCES,
            TOKEN_OUTPUTS,
            also=(OV_CIRCUIT,),
        ) as frame,
        part(),
    ):
        pick_token(selection, "a long token of the first prompt")
        # The page is about no input; the longest token of this says more than a comma would.
        tokens = calls.tokens_of(selection.with_values(input="prompt", prompt=DEFAULT_PROMPT))
        place = max(range(1, tokens.length), key=lambda i: len(tokens.labels[0][i]), default=0)
        token = token_of(selection, int(tokens.ids[0, place]), tokens.labels[0][place])
        frame.narrow(token=token.id)
        draw_token_circuits(selection, head, token)


def draw_positions(selection: Selection, head: Head) -> None:
    """Where a head would look if it saw positions only."""
    with (
        figure_frame(
            Subject(selection, head=head, on_input=False),
            f"Where {head.label} looks by position alone",
            "No token is involved. A line just below the diagonal is a previous-token head.",
            POSITIONAL_PATTERN,
        ),
        part(),
    ):
        circuit = calls.previous_token_circuit(selection, head)
        st.metric(
            f"Attention of {head.label} to the previous position, mean over "
            f"{len(circuit.values) - 1:,} destinations",
            f"{circuit.previous:.3f}",
        )
        draw(circuit_figures.position_map(circuit.values, palette()), key="positions")
        if len(circuit.values) > circuit_figures.MAX_POSITIONS:
            st.caption(f"The first {circuit_figures.MAX_POSITIONS} positions are drawn.")
        st.caption(circuit.assumes)


def draw_k_composition(selection: Selection, writer: Head, reader: Head) -> None:
    """The full K-composition circuit: does a token find the place that follows its copy?"""
    with (
        figure_frame(
            Subject(selection, head=reader, writer=writer, on_input=False),
            f"{reader.label} looks for what {writer.label} wrote",
            f"Where {writer.label} has written which token came before and {reader.label} reads "
            "that as keys, a token's query finds the position after its earlier copy.",
            K_COMPOSITION_CIRCUIT,
        ),
        part(),
    ):
        with stoppable(f"{writer.label} to {reader.label}: every pair of tokens") as progress:
            result = calls.k_composition_circuit(selection, writer, reader, progress)
        sides = {
            "Best key for each query: along a row, what attention depends on": result.best_key,
            "Best query for each key: along a column, the other direction": result.best_query,
        }
        for name, shares in sides.items():
            st.markdown(f"**{name}**")
            draw_metrics(
                [
                    Metric("Top guess" if k == 1 else f"In the top {k}", share, f"{share:.2%}")
                    for k, share in shares.items()
                ],
                name.partition(" for")[0],
            )
        st.caption(
            f"The share of all {selection.info.d_vocab:,} tokens for which that is the same "
            f"token; chance is {1 / selection.info.d_vocab:.2%}. {result.assumes}"
        )


def draw_factored(selection: Selection, head: Head) -> None:
    """Why the vocabulary-by-vocabulary matrix is never built, in this model's numbers."""
    facts = calls.factored_facts(selection)
    with figure_frame(
        Subject(selection, head=head, on_input=False),
        "Why W_E W_OV W_U never has to be built",
        f"Written out it has {facts.d_vocab:,} rows and columns, but it passes through only "
        f"{facts.d_head} dimensions: two thin factors hold all of it.",
        FACTORED_MATRIX,
    ):
        again = st.button("Measure again")
        with part():
            timing = calls.factored_timing(selection, head, again)
            whole = facts.d_vocab / timing.rows
            n, thin = facts.d_vocab, facts.d_head
            sizes = as_rows(
                {
                    "Quantity": [
                        "Shape",
                        "Numbers held",
                        "Memory",
                        "Work to make it",
                        f"Time for {timing.rows} rows, measured",
                        "All rows at that pace",
                    ],
                    "Written out": [
                        f"{n:,} x {n:,}",
                        f"{n * n:,}",
                        _scaled(facts.full_bytes, 1024, ("B", "KiB", "MiB", "GiB")),
                        _scaled(facts.full_flops, 1000, ("flop", "kflop", "Mflop", "Gflop")),
                        _time(timing.full_seconds),
                        _time(timing.full_seconds * whole),
                    ],
                    "As two factors": [
                        f"{n:,} x {thin} and {thin} x {n:,}",
                        f"{2 * n * thin:,}",
                        _scaled(facts.factored_bytes, 1024, ("B", "KiB", "MiB", "GiB")),
                        _scaled(facts.factored_flops, 1000, ("flop", "kflop", "Mflop", "Gflop")),
                        _time(timing.factored_seconds),
                        _time(timing.factored_seconds * whole),
                    ],
                }
            )
            draw_table(sizes, "sizes", height="content")
            st.caption(
                "The factors are A = W_E W_V and B = W_O W_U. "
                f"{facts.full_bytes / facts.factored_bytes:,.0f} times less memory, "
                f"{facts.full_flops / facts.factored_flops:,.0f} times less work; the measured "
                f"rows agree {within(timing.difference)}. Eigenvalues, singular values, "
                "norms, and the logits of any one token come from A and B: the eigenvalues of A B "
                f"that are not 0 are those of B A, which is {thin} x {thin}. Copying accuracy "
                "goes through the rows in blocks and keeps none."
            )


def _tokens(labels: Iterable[str]) -> str:
    return "   ".join(short_token(label) for label in labels)


def _scaled(amount: float, step: int, units: tuple[str, ...]) -> str:
    for unit in units[:-1]:
        if amount < step:
            return f"{amount:.3g} {unit}"
        amount /= step
    return f"{amount:,.3g} {units[-1]}"


def _time(seconds: float) -> str:
    return f"{1000 * seconds:,.2f} ms"
