"""Hooks of the documentation's site: pages that are made of the sources, so that they stay true.

`mkdocs build` calls them; see `mkdocs.yml`.
"""

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_MADE = {"numbers.md", "settings.md"}
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#]*)(#[^)]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Add what each number means, and what each setting does."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, "numbers.md", content=numbers()))
    settings = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")
    text = settings.replace("](../docs/", "](")
    files.append(File.generated(config, "settings.md", content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Leave links to what is no page of the site, such as a file of the code, as their words."""
    markdown = markdown.replace("](../deploy/README.md", "](settings.md")
    pages = {path.name for path in (ROOT / "docs").iterdir()} | _MADE

    def kept(found: re.Match[str]) -> str:
        target = found[2]
        inside = not target or target in pages or target.startswith(("http:", "https:"))
        return found[0] if inside else found[1]

    return _LINK.sub(kept, markdown)


def numbers() -> str:
    """Every registered quantity with its definition."""
    sys.path.insert(0, str(ROOT))
    from analysis.definitions import QUANTITIES
    from app.text import markdown_text

    parts = ["# What each number means", ""]
    for each in sorted(QUANTITIES, key=lambda quantity: quantity.name.casefold()):
        formula = "\n".join(f"    {line}" for line in each.formula.splitlines())
        parts += [
            f"## {each.name}",
            "",
            markdown_text(each.meaning),
            "",
            formula,
            "",
            f"Range and unit: {markdown_text(each.unit)}. Source: {markdown_text(each.source)}.",
            "",
        ]
    return "\n".join(parts)
