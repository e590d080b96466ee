"""Modules become one file that means the same, or are refused."""

from pathlib import Path

import pytest

from app.components.scripts import joined

APP = Path(__file__).parents[2] / "app"
ENTRIES = [
    *APP.glob("components/*/js/page/head_grid.js"),
    *APP.glob("components/*/js/page/pattern_pair.js"),
    *APP.glob("components/*/js/page/*_widget.js"),
    *APP.glob("shell/*.js"),
    *APP.glob("frame/*.js"),
]


def write(folder: Path, **modules: str) -> Path:
    """Modules by name; the last one is the entry."""
    for name, text in modules.items():
        (folder / f"{name}.js").write_text(text, encoding="utf-8")
    return folder / f"{name}.js"


def test_what_is_imported_stands_before_its_use_and_once(tmp_path: Path) -> None:
    entry = write(
        tmp_path,
        low="export const LOW = 1;\n",
        left='import { LOW } from "./low.js";\nexport const left = () => LOW;\n',
        right='import {\n  LOW,\n} from "./low.js";\nexport function right() {\n  return LOW;\n}\n',
        entry='import { left } from "./left.js";\nimport { right } from "./right.js";\n'
        "export class Both {}\nexport default function both() {\n  return left() + right();\n}\n",
    )
    assert joined(entry) == (
        "const LOW = 1;\n\nconst left = () => LOW;\n\nfunction right() {\n  return LOW;\n}\n\n"
        "class Both {}\nexport default function both() {\n  return left() + right();\n}\n"
    )


def test_words_inside_lines_and_comments_are_left_alone(tmp_path: Path) -> None:
    text = '/** @import { X } from "./x.js" */\nconst a = "export const b";\nexport default a;\n'
    assert joined(write(tmp_path, entry=text)) == text


@pytest.mark.parametrize(
    ("first", "second", "refusal"),
    [
        ("const a = 1;\n", "const a = 2;\n", "a is declared by one.js and two.js"),
        ("export const b = 1;\n", 'import { b as c } from "./one.js";\n', "b as c"),
        ("export const b = 1;\n", 'import * as b from "./one.js";\n', r"import \* as b"),
        ("export const b = 1;\n", 'import b from "./one.js";\n', "import b from"),
        ("export const b = 1;\n", 'import { c } from "./one.js";\n', "one.js exports no c"),
        ("const b = 1;\n", 'import { b } from "./one.js";\n', "one.js exports no b"),
        ("", 'import { b } from "./none.js";\n', "there is no ./none.js"),
        ("", 'import { b } from "plotly";\n', 'import { b } from "plotly"'),
        ("", "export { b };\n", "export { b }"),
        ("", 'export * from "./one.js";\n', r"export \*"),
        ("", "export const { b } = c;\n", "export const { b }"),
        ("", "var b = 1;\n", "var b"),
        ("export default 1;\n", "", "only the entry"),
        ('import { b } from "./two.js";\n', "export const b = 1;\n", "two.js → one.js → two.js"),
    ],
)
def test_what_would_mean_something_else_in_one_file_is_refused(
    tmp_path: Path, first: str, second: str, refusal: str
) -> None:
    one = "export const one = 1;\n" + first
    two = 'import { one } from "./one.js";\n' + second + "export default one;\n"
    with pytest.raises(ValueError, match=refusal):
        joined(write(tmp_path, one=one, two=two))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda path: path.stem)
def test_the_scripts_of_the_app_are_one_module_with_one_export(entry: Path) -> None:
    script = joined(entry)
    lines = script.splitlines()
    assert not [line for line in lines if line.startswith("import ")]
    exports = [line for line in lines if line.startswith("export ")]
    assert len(exports) == 1
    assert exports[0].startswith("export default ")
