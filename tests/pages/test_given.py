"""What a page has picked for a widget is no choice of the visitor's, whatever becomes of a run."""

from streamlit.testing.v1 import AppTest


def script() -> None:
    """A page that picks an even number of edges, and may end ahead of its widget."""
    import streamlit as st

    from app.links.session import read_session, widget_key, write_session
    from tests.views import view

    values, _ = read_session("ablation")
    selection = view("ablation", **values)
    write_session(selection)
    st.text(str(selection["edges"]))
    if st.session_state.get("ends early"):
        st.stop()
    picked = selection["edges"] or st.session_state.get("picked", 16)
    st.slider("Edges", 0, 64, key=widget_key(selection, "edges", picked))


def test_a_run_that_ends_early_leaves_no_choice_behind() -> None:
    app = AppTest.from_function(script).run()
    assert app.slider[0].value == 16
    app.session_state["ends early"] = True
    app.run()
    app.session_state["ends early"] = False
    app.session_state["picked"] = 8
    app.run()
    assert app.text[0].value == "None"
    assert "edges" not in app.query_params
    assert app.slider[0].value == 8
    app.slider[0].set_value(12).run()
    assert app.text[0].value == "12"
