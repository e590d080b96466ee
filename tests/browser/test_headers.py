"""What the server sends besides pages: headers, refusals, and no file of this machine."""

import http.client
import re
import tomllib
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import Browser

from app.shell.headers import security_headers
from tests.browser.conftest import ROOT, Serve, wait_until_done

pytestmark = pytest.mark.browser

# What a hostile string would try, once it had got into a page; each leaves its name.
ATTEMPTS = """() => {
    window.fired = [];
    const put = (html) => {
        const holder = document.createElement("div");
        holder.innerHTML = html;
        document.body.append(holder);
        return holder.firstChild;
    };
    const script = document.createElement("script");
    script.textContent = "fired.push('inline script')";
    document.body.append(script);
    put(`<img src="data:," onerror="fired.push('event handler')">`);
    put(`<a href="javascript:fired.push('script address')">link</a>`).click();
    put(`<iframe srcdoc="<script>parent.fired.push('frame')</` + `script>"></iframe>`);
    // Playwright lifts the ban on eval for what it runs itself.
    setTimeout(() => new Function("fired.push('eval')")());
}"""


def answer(address: str, path: str, method: str = "GET") -> tuple[http.client.HTTPResponse, bytes]:
    """The answer to a path that is sent as it stands: a browser would tidy it up first."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
    connection.putrequest(method, path, skip_accept_encoding=True)
    connection.endheaders()
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


@pytest.mark.parametrize(
    "path", ["/", "/tokens", "/_stcore/health", "/static/no-such.js", "/media/no-such.png"]
)
def test_every_answer_carries_the_headers(app: str, path: str) -> None:
    response, _ = answer(app, path)
    for name, value in security_headers().items():
        assert response.headers.get_all(name) == [value]


def test_the_policy_stops_what_would_run_without_it(
    app: str, serve: Serve, browser: Browser
) -> None:
    """The server without headers is the proof that these attempts would do harm."""
    fired = {}
    for address in (app, serve(ROOT / "tests/browser/apps/head_grid_app.py")):
        page = browser.new_page()
        page.goto(address)
        wait_until_done(page)
        page.evaluate(ATTEMPTS)
        page.wait_for_timeout(500)
        fired[address == app] = sorted(page.evaluate("fired"))
        page.close()
    everything = ["eval", "event handler", "frame", "inline script", "script address"]
    assert fired == {True: [], False: everything}


ASCENTS = [
    up * 8
    for up in ("../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%5c", "..\\", "%252e%252e%252f", "....//")
]
PREFIXES = (
    "/",
    "/static/",
    "/app/static/",
    "/media/",
    "/component/head_grid/",
    "/component/head_grid.head_grid/",
    "/_stcore/bidi-components/head_grid/",
    "/_stcore/component/head_grid/",
    "/_stcore/upload_file/x/",
)
FILES = ("etc/passwd", "proc/self/environ", str(ROOT / "requirements.txt").lstrip("/"))
BELOW = (
    "requirements.txt",
    ".streamlit/config.toml",
    ".git/config",
    "streamlit_app.py",
    "models/attn-only-2l/config.json",
    "app/static/../../requirements.txt",
    "static/../../../requirements.txt",
    "file:///etc/passwd",
    quote(str(ROOT / "requirements.txt"), safe=""),
    "requirements.txt%00.js",
)


def without_preview(page: bytes) -> bytes:
    """Streamlit's own page, without what we add to it."""
    return re.sub(rb'<meta property="og:[^>]*>', b"", page)


def test_no_file_of_this_machine_can_be_read(app: str) -> None:
    index = without_preview(answer(app, "/finder")[1])  # the start page brings a picture
    paths = [f"{prefix}{up}{name}" for prefix in PREFIXES for up in ASCENTS for name in FILES]
    paths += [f"{prefix}{name}" for prefix in PREFIXES for name in BELOW]
    for path in paths:
        response, body = answer(app, path)
        # Streamlit answers addresses that it does not know with its own page, to which ours leads.
        led = response.status == 307 and (response.headers["location"] or "").startswith(
            "./?asked="
        )
        assert led or response.status >= 400 or without_preview(body) == index, path
        assert not (led and body), path
        assert not any(secret in body for secret in (b"root:", b"streamlit==", b"HOME=")), path


def test_streamlits_interface_for_programs_is_shut(app: str) -> None:
    response, _ = answer(app, "/_stcore/agent/interact", "POST")
    assert response.status >= 400


def test_the_settings_that_a_public_instance_needs() -> None:
    settings = tomllib.loads((ROOT / ".streamlit/config.toml").read_text())
    assert settings["client"] == {
        "showErrorDetails": "none",
        "toolbarMode": "viewer",
        # No site that frames the app steers it.
        "allowedOrigins": [],
    }
    # Of a message, in MB: what is too much for a prompt is not even read.
    assert settings["server"]["maxWidgetStateSize"] == 4
    assert settings["browser"]["gatherUsageStats"] is False
    assert settings["server"]["enableXsrfProtection"] is True
    # Off unless somebody switches them on.
    assert not {"enableStaticServing", "enableAgentApi", "enableCORS"} & settings["server"].keys()


def test_a_posted_link_says_what_it_is_about_and_nothing_that_was_typed(app: str) -> None:
    response, body = answer(app, "/head?layer=1&head=4&prompt=My+own+text")
    assert response.status == 200 and int(response.headers["Content-Length"]) == len(body)
    assert b'property="og:title" content="Head \xc2\xb7 L1H4 \xc2\xb7 Headscope"' in body
    assert b'property="og:description" content="What does this head do?"' in body
    assert b"My own text" not in body
