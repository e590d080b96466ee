"""The frames of the page that ran last, for programs that open pages on a copy."""

import html
from functools import cache
from typing import Any

from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from app.frame import frame
from app.frame.export import Frame
from app.frame.snippets import snippet

FRAMES: dict[str, Frame] = {}
_draw_tools = frame._draw_tools


def _note(framed: Frame, place: Any) -> None:
    FRAMES[framed.title] = framed
    _draw_tools(framed, place)


frame._draw_tools = _note
# As in tests/pages/conftest.py.
manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)


def open_page(page: str, **query: str) -> AppTest:
    """A page after its first run, with nothing to complain about."""
    app = AppTest.from_file("../streamlit_app.py", default_timeout=300)
    for key, value in query.items():
        app.query_params[key] = value
    app.switch_page(f"pages/{page}.py")
    return run(app)


def run(app: AppTest) -> AppTest:
    """Run it once more."""
    FRAMES.clear()
    app.run()
    assert not app.exception, app.exception
    assert not app.error, app.error
    return app


def words(app: AppTest) -> str:
    """What stands on the page."""
    parts = (app.text, app.markdown, app.caption, app.subheader, app.info)
    return html.unescape(" | ".join(each.value for part in parts for each in part))


def codes() -> dict[str, str | None]:
    """What Code shows for each quantity on the page."""
    return {
        quantity.name: snippet(framed.quantities, framed.subject)
        for framed in FRAMES.values()
        for quantity in framed.quantities
    }


def results(code: str | None) -> list[Any]:
    """What the code of a figure prints, as arrays."""
    assert code
    kept: list[Any] = []
    exec(code.replace("print(result)", "kept.append(result)"), {"kept": kept})
    return kept
