"""One name, one thing: no two public classes of the product have the same name."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[3]


def product_modules() -> list[Path]:
    """All modules of the product; the laboratory plays other systems, with their words."""
    found = [path for name in ("mappings", "handlers", "middleware") for path in (ROOT / name).rglob("*.py")]
    return sorted(path for path in found if "lab" not in path.relative_to(ROOT).parts)


def test_no_class_name_twice() -> None:
    """A public class name is found in one module only: searching for it leads to one place."""
    places = defaultdict(set)
    for path in product_modules():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].add(str(path.relative_to(ROOT)))
    twice = {name: sorted(modules) for name, modules in places.items() if len(modules) > 1}
    assert not twice
