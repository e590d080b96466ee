"""Roles: which heads look like which role on a set of prompts, and whether they matter."""

from app.frame.frame import part
from app.sections.roles.group import draw_verdict
from app.sections.roles.screens import draw_evidence, draw_heads, draw_overview, draw_role
from app.sections.roles.subject import RolesView
from app.shell.page import open_page

selection = open_page("roles")
with part():
    view = RolesView.of(selection)
    draw_overview(view)
    draw_role(view)
    draw_heads(view)
    draw_verdict(view)
    draw_evidence(view)
