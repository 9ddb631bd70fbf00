"""Everything that touches the world: HTTP in and out, PostgreSQL, Redis, the command line."""

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any


def _load_when_used(name: str) -> None:
    """Let `import name` cost nothing until something of the module is used; `LazyLoader` loads with the import."""
    spec = find_spec(name)
    if spec is None or name in sys.modules:
        return
    stand_in = ModuleType(name)
    stand_in.__spec__ = spec

    def load(attribute: str) -> Any:
        sys.modules.pop(name, None)
        module = import_module(name)
        vars(stand_in).update(vars(module))
        return getattr(module, attribute)

    vars(stand_in)["__getattr__"] = load
    sys.modules[name] = stand_in


# redis-py imports it for tokens of a cloud that is not used here; with the cryptography that it brings, it would take
# a tenth of the memory of every process.
_load_when_used("jwt")
