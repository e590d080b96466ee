"""Every role that heads are screened for: each module here that has a `ROLE` is one."""

from importlib import import_module
from pkgutil import iter_modules

from analysis.definitions.role import FAMILIES, Role


def _found() -> list[Role]:
    names = sorted(module.name for module in iter_modules(__path__))
    return [import_module(f"{__name__}.{name}").ROLE for name in names]


ROLES: dict[str, Role] = {
    role.key: role for role in sorted(_found(), key=lambda role: FAMILIES.index(role.family))
}
ROLE_KEYS: tuple[str, ...] = tuple(ROLES)
