"""Views as a folder of pages that need no server: for a course, or beside a paper."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from plotly.offline import get_plotlyjs

from analysis.errors import AnalysisError
from analysis.models.home import at_home
from app.compute.findings.check import check_all
from app.compute.findings.file import MAX_BYTES, UnreadableFindings, from_text
from app.compute.findings.finding import Finding, title_of
from app.frame.export import Exhibit, Frame, definitions_body, document, file_name
from app.frame.report import to_page
from app.links.pages import page_info
from app.shell.prepared import MAX_LIST, MAX_VIEWS
from app.text import display_text, escape_html, is_text
from app.theme import LIGHT
from headscope.exporting import drawn_figures
from headscope.opening import View, address_of, read_view

# Bytes of a page; Plotly lies beside the pages, once for all of them.
MOST = 2 * 2**20
_PLOTLY = "plotly.min.js"
_LONGEST_TITLE = 200
_STYLE = (
    "<style>h2{font-size:1.35rem;margin-top:2.5rem}details h2{font-size:1rem;margin-top:1rem}"
    "h3{font-size:1rem;margin:1.5rem 0 .5rem}"
    ".views{display:grid;grid-template-columns:repeat(auto-fill,minmax(17rem,1fr));gap:1.5rem;"
    "list-style:none;padding:0}.views img{width:100%;height:12rem;object-fit:contain;"
    "object-position:top;background:#fff}.views a{font-weight:600}</style>"
)


@dataclass(frozen=True)
class _Page:
    """One view as a page: the beginning of its files' names, its title, and what it is about."""

    name: str
    title: str
    about: str
    html: bytes = field(repr=False)
    picture: bytes | None = field(repr=False)
    plotly: bool


def write_site(folder: str, sources: Sequence[str], title: str, app: str | None) -> int:
    """Write a site into a folder, with an index; what is there by its names is replaced.

    Args:
        folder: Made where it is not there.
        sources: Links, views that were saved on a page, findings, each of which brings the views
            that it rests on, and lists of links, one a line. In a list a line that begins with # is
            the title of the view below it.
        title: Of the site.
        app: Address of a Headscope that pages lead on to; without it none does.

    Raises:
        AnalysisError: A source that is none, more than `MAX_VIEWS` views, a view that a page
            refuses, a page of more than `MOST` bytes, or a folder that is a file.
    """
    target = at_home(folder)
    if target.exists() and not target.is_dir():
        raise AnalysisError(f"{display_text(str(target))} is a file. Name a folder.")
    if not title.strip() or len(title) > _LONGEST_TITLE or not is_text(title):
        raise AnalysisError(f"A site has a title of at most {_LONGEST_TITLE} characters.")
    home = _home(app)
    views: dict[str, tuple[str, View]] = {}  # titles and views, by their address
    findings: list[Finding] = []
    for source in sources:
        some, found = _read(source)
        for named, view in some:
            views.setdefault(address_of(*view), (named, view))
        findings += found
    if not 0 < len(views) <= MAX_VIEWS:
        raise AnalysisError(f"These are {len(views)} views; a site holds 1 to {MAX_VIEWS}.")
    pages = [_page(number, *each, home) for number, each in enumerate(views.values(), start=1)]
    target.mkdir(parents=True, exist_ok=True)
    for page in pages:
        (target / f"{page.name}.html").write_bytes(page.html)
        if page.picture is not None:
            (target / f"{page.name}.svg").write_bytes(page.picture)
    if any(page.plotly for page in pages):
        (target / _PLOTLY).write_text(get_plotlyjs(), encoding="utf-8")
    if findings:
        names = {key: page.name for key, page in zip(views, pages, strict=True)}
        report = to_page(
            findings, check_all(findings), lambda *view: f"{names[address_of(*view)]}.html"
        )
        (target / "findings.html").write_bytes(report)
    (target / "index.html").write_bytes(_index(title, pages, findings))
    print(f"Wrote {len(pages)} pages; open {display_text(str(target / 'index.html'))}")
    return 0


def _home(app: str | None) -> str:
    if app is None:
        return ""
    try:
        parts = urlsplit(app)
        named = parts.scheme in ("http", "https") and parts.netloc and is_text(app)
    except ValueError:  # an unfinished [address]
        named = False
    if not named:
        raise AnalysisError("The app's address begins with http:// or https:// and names a host.")
    return app.rstrip("/")


def _read(source: str) -> tuple[Sequence[tuple[str, View]], Sequence[Finding]]:
    """Views of one source, with titles where they have some, and the findings about them."""
    file = at_home(source)
    if "?" in source or not file.is_file():
        return [("", read_view(source))], []
    with file.open("rb") as opened:
        data = opened.read(MAX_BYTES + 1)
    if file.suffix != ".json":
        return list(_listed(data)), []
    try:
        findings = from_text(data)
    except UnreadableFindings as refusal:
        try:
            return [("", read_view(source))], []
        except AnalysisError as other:
            raise AnalysisError(
                f"{display_text(file.name)} holds no findings ({refusal}) and no view ({other})"
            ) from other
    of_all = [each for finding in findings for each in finding.evidence]
    return [(title_of(each), each.link) for each in of_all], findings


def _listed(data: bytes) -> Iterator[tuple[str, View]]:
    """The views of a list of links, one a line; a line with # is the title of the next."""
    text = data.decode("utf-8", "replace")
    if len(text) > MAX_LIST:
        raise AnalysisError(f"The list is longer than {MAX_LIST:,} characters.")
    title = ""
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("#"):
            title = line.lstrip("#").strip()[:_LONGEST_TITLE]
        else:
            yield title, read_view(line)
            title = ""


def _page(number: int, title: str, view: View, home: str) -> _Page:
    name, link = view
    figures = drawn_figures(view)
    subject = next(iter(figures.values()))[0].subject
    title = title or page_info(name).title
    address = escape_html(f"{home}{address_of(name, link)}")
    lead = f' · <a href="{address}">this view in Headscope</a>' if home else ""
    own = f"{number:02}-{name}"
    parts = [
        f'{_STYLE}<p><a href="index.html">All views</a></p><h1>{escape_html(title)}</h1>'
        f"<p>{escape_html(subject.described)}{lead}</p>"
    ]
    by_frame: dict[Frame, list[Exhibit]] = {}
    for frame, exhibit in figures.values():
        by_frame.setdefault(frame, []).append(exhibit)
    parts += [_frame_body(own, *each) for each in by_frame.items()]
    plotly = any(exhibit.chart is not None for _, exhibit in figures.values())
    library = f'<script src="{_PLOTLY}"></script>' if plotly else ""
    html = document(title, "".join(parts), LIGHT, library)
    if len(html) > MOST:
        largest = max(zip(map(len, parts[1:]), by_frame, strict=True), key=lambda each: each[0])
        raise AnalysisError(
            f"The page of view {number} has {len(html) / 2**20:.1f} MB; at most {MOST >> 20} are "
            f"possible. “{display_text(largest[1].title)}” takes {largest[0] / 2**20:.1f}: take a "
            "shorter text or fewer sequences."
        )
    return _Page(own, title, subject.described, html, _picture(figures.values()), plotly)


def _frame_body(own: str, frame: Frame, exhibits: Sequence[Exhibit]) -> str:
    parts = []
    for exhibit in exhibits:
        if exhibit.page:
            about = frame.about(exhibit)
            named = f"<h3>{escape_html(exhibit.name)}</h3>" if len(exhibits) > 1 else ""
            parts.append(named + exhibit.page(f"{own}-{file_name(about.subject, exhibit.name)}"))
    meant = definitions_body((*frame.quantities, *frame.also))
    return (
        f"<section><h2>{escape_html(frame.title)}</h2><p>{escape_html(frame.reading)}</p>"
        f"{''.join(parts)}<details><summary>Definitions</summary>{meant}</details></section>"
    )


def _picture(figures: Iterable[tuple[Frame, Exhibit]]) -> bytes | None:
    """The first figure of a view that can be drawn without a browser."""
    for frame, exhibit in figures:
        if draw := exhibit.picture or exhibit.paper:
            return draw(frame.about(exhibit).origin)
    return None


def _index(title: str, pages: Sequence[_Page], findings: Sequence[Finding]) -> bytes:
    views = "".join(
        f'<li><a href="{page.name}.html">'
        + (f'<img alt="" src="{page.name}.svg">' if page.picture is not None else "")
        + f"{escape_html(page.title)}</a><p>{escape_html(page.about)}</p></li>"
        for page in pages
    )
    claims = "".join(f"<li>{escape_html(display_text(each.claim))}</li>" for each in findings)
    found = f'<h2><a href="findings.html">Findings</a></h2><ul>{claims}</ul>' if findings else ""
    body = f'{_STYLE}<h1>{escape_html(title)}</h1>{found}<ul class="views">{views}</ul>'
    return document(title, body, LIGHT)
