"""The scripts of components: small modules on disk, one module for the browser.

Streamlit hands a browser one text per component. A build step or a bundler is not needed for that:
a module and what it imports stand one after another, in an order in which everything is there
before it is used, and share one scope. What would change its meaning in a shared scope is refused.
"""

import re
from dataclasses import dataclass
from pathlib import Path

_IMPORT = re.compile(r'^import \{([^{}]*)\} from "(\.{1,2}/[^"]+)";\n', re.MULTILINE)
_DEFAULT = re.compile(r"^export default ", re.MULTILINE)
_DECLARED = re.compile(
    r"^(export )?(?:async )?(?:function\*?|class|const|let) ([\w$]+)", re.MULTILINE
)
# Any other statement of these words, and declarations of several names at once.
_REFUSED = re.compile(
    r"^(?:(?:import|export)\b(?! (?:async |function|class|const|let|default )).*|"
    r"(?:export )?(?:var\b|(?:const|let) [\[{]).*)$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class _Module:
    path: Path
    imports: dict[Path, tuple[str, ...]]
    declared: tuple[str, ...]
    exported: frozenset[str]
    body: str  # without its imports


def joined(entry: Path) -> str:
    """A module and all that it imports as one module; only the entry's default export is left.

    Statements count that begin a line, as every statement of a formatted module does.

    Raises:
        ValueError: Imports or exports in a form that is not understood (packages, `import *`, a
            name changed by `as`, a default in a module that is not the entry), names that are
            imported and not exported, the same name in two modules, or modules that import each
            other in a circle.
    """
    modules = _in_order(entry.resolve(), ())
    home: dict[str, Path] = {}
    for module in modules:
        for name in module.declared:
            if name in home:
                raise ValueError(f"{name} is declared by {home[name].name} and {module.path.name}")
            home[name] = module.path
    exports = {module.path: module.exported for module in modules}
    for module in modules:
        if module.path != modules[-1].path and _DEFAULT.search(module.body):
            raise ValueError(f"{module.path.name}: only the entry may have a default export")
        for path, names in module.imports.items():
            if unknown := sorted(set(names) - exports[path]):
                raise ValueError(f"{module.path.name}: {path.name} exports no {unknown[0]}")
    return "\n".join(re.sub(r"(?m)^export (?!default )", "", each.body) for each in modules)


def _in_order(path: Path, importers: tuple[Path, ...]) -> list[_Module]:
    """The module at `path` after all that it needs, each once."""
    if path in importers:
        circle = [*importers[importers.index(path) :], path]
        raise ValueError(f"modules in a circle: {' → '.join(each.name for each in circle)}")
    module = _read(path)
    found: dict[Path, _Module] = {}
    for needed in module.imports:
        found |= {each.path: each for each in _in_order(needed, (*importers, path))}
    return [*found.values(), module]


def _read(path: Path) -> _Module:
    text = path.read_text(encoding="utf-8")
    imports: dict[Path, tuple[str, ...]] = {}
    for names, source in _IMPORT.findall(text):
        needed = (path.parent / source).resolve()
        if not needed.is_file():
            raise ValueError(f"{path.name}: there is no {source}")
        names = tuple(name.strip() for name in names.split(",") if name.strip())
        if renamed := [name for name in names if " " in name]:
            raise ValueError(f"{path.name}: {renamed[0]}: a name changes by an import")
        imports[needed] = imports.get(needed, ()) + names
    body = _IMPORT.sub("", text)
    if refused := _REFUSED.search(body):
        raise ValueError(f"{path.name}: {refused[0]}: modules cannot be joined with this")
    declared = _DECLARED.findall(_DEFAULT.sub("", body))
    exported = frozenset(name for exports, name in declared if exports)
    return _Module(path, imports, tuple(name for _, name in declared), exported, body)
