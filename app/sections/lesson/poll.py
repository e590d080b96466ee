"""A lesson's questions in a room: followers vote, and their presenter sees the votes."""

import streamlit as st

from app.compute.rooms import RoomError
from app.sections.lesson.lesson import Lesson
from app.shell.room import own_room, rooms
from app.text import escape_html

# Seconds between two looks at the votes.
EVERY = 2.0


def votes_here() -> bool:
    """Whether this visitor votes: as a follower, whom an answer of their own would lead away."""
    return own_room().follows


def draw_vote(lesson: Lesson) -> None:
    """The step's options for a follower, who may change their mind until it is solved."""
    state, question = own_room(), _question(lesson)
    options = dict(lesson.step.options)
    key = f"vote {question}"
    st.session_state[key] = state.votes.get(question)

    def vote() -> None:
        option = st.session_state[key]
        try:
            rooms().vote(state.following, state.who, question, option)
        except RoomError as refusal:
            state.refused = str(refusal)
            return
        state.votes[question] = option

    st.radio(
        lesson.step.task,
        list(options),
        format_func=options.__getitem__,
        key=key,
        on_change=vote,
        horizontal=lesson.step.pills,
        disabled=lesson.solved(),
    )
    voted = "Your vote is counted. You may change it." if question in state.votes else "Vote."
    st.caption("The presenter goes on from here." if lesson.solved() else voted)


def draw_tally(lesson: Lesson) -> None:
    """The votes so far, on the screen of who presents."""
    state = own_room()
    if not state.key:
        return
    question, options = _question(lesson), lesson.step.options
    names = tuple(option for option, _ in options)

    @st.fragment(run_every=None if lesson.solved() else EVERY)
    def draw_bars() -> None:
        counts = rooms().ask(state.key, question, names)
        most = max(1, *counts.values())
        rows = "".join(
            f'<div><span>{escape_html(label)}</span><i style="width:{counts[option] / most:.0%}">'
            f"</i><b>{counts[option]}</b></div>"
            for option, label in options
        )
        st.html(f'<div class="hs-poll" role="img" aria-label="Votes">{rows}</div>')
        st.caption(f"{sum(counts.values())} of {rooms().followers(state.key) or 0} have voted.")

    draw_bars()


def _question(lesson: Lesson) -> str:
    return f"{lesson.name} {lesson.number}"
