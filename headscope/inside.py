"""The app's modules in a process that is not ours, such as a notebook's.

They call themselves `analysis` and `app`, which are names that a person's own modules may well
have: on the path of a notebook one would hide the other. So there they are imported below the name
`headscope._app`, and what they import of each other is renamed on the way.
"""

import ast
import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

from headscope.place import ROOT

_PACKAGE = "headscope._app"
_HOUSES = ("analysis", "app")


def import_inside(name: str) -> ModuleType:
    """The module that the app itself calls `name`, such as `app.text`."""
    if _PACKAGE not in sys.modules:
        package = ModuleType(_PACKAGE, "The app's modules, under names that nobody else has.")
        package.__path__ = [str(ROOT)]
        sys.modules[_PACKAGE] = package
        sys.meta_path.insert(0, _Finder())
    return importlib.import_module(f"{_PACKAGE}.{name}")


def renamed(source: str) -> str:
    """A script of the app's as it can be run in here: its imports are renamed."""
    return ast.unparse(ast.fix_missing_locations(_Renamed().visit(ast.parse(source))))


class _Finder(MetaPathFinder):
    """Finds modules below `_PACKAGE` where they are, and lets them be renamed as they load."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith(f"{_PACKAGE}."):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    """Loads a module with its imports renamed."""

    def path_stats(self, path: Any) -> dict[str, Any]:
        # Without them Python neither reads nor writes compiled code, which the app's own process
        # keeps beside the same file.
        raise OSError("loaded from its source")

    def source_to_code(  # type: ignore[override]  # its stub leaves the option's name open
        self, data: Any, path: Any, *, _optimize: int = -1
    ) -> Any:
        tree = ast.fix_missing_locations(_Renamed().visit(ast.parse(data, path)))
        return compile(tree, path, "exec", dont_inherit=True, optimize=_optimize)


class _Renamed(ast.NodeTransformer):
    """Imports of the app's own modules, by the names that they have in here."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom:
        if node.level == 0 and _is_own(node.module or ""):
            node.module = f"{_PACKAGE}.{node.module}"
        return node

    def visit_Import(self, node: ast.Import) -> list[ast.Import]:
        return [ast.Import([each]) for alias in node.names for each in _renamed(alias)]


def _renamed(alias: ast.alias) -> list[ast.alias]:
    """What binds the name that `import app.text` or `import app.text as text` does."""
    if not _is_own(alias.name):
        return [alias]
    inside = f"{_PACKAGE}.{alias.name}"
    if alias.asname:
        return [ast.alias(inside, alias.asname)]
    house = alias.name.partition(".")[0]
    return [ast.alias(inside, "_loaded"), ast.alias(f"{_PACKAGE}.{house}", house)]


def _is_own(name: str) -> bool:
    return name.partition(".")[0] in _HOUSES
