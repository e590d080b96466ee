"""Findings: what was kept, in this browser or a file, with its numbers checked anew."""

from app.sections.findings.page import draw_findings
from app.shell.page import open_page

draw_findings(open_page("findings"))
