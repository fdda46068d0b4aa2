"""Which module of winback imports which, read from the sources, function-level imports included."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("features", "models", "pipelines")


def modules() -> list[Path]:
    """Every module of the package, relative to the repository."""
    return sorted(
        path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")
    )


@cache
def imports(module: Path) -> frozenset[Path]:
    """Modules of winback that a module imports itself."""
    found: set[Path] = set()
    for node in ast.walk(ast.parse((ROOT / module).read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = module.parents[node.level - 1]
            inner = base.joinpath(*node.module.split(".")) if node.module else base
            found |= _files(inner, [alias.name for alias in node.names])
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("winback."):
            inner = Path(*node.module.split(".")[1:])
            found |= _files(inner, [alias.name for alias in node.names])
    return frozenset(found)


@cache
def closure(module: Path) -> frozenset[Path]:
    """The module and everything that it imports, directly or not."""
    seen: set[Path] = set()
    todo = [module]
    while todo:
        current = todo.pop()
        if current not in seen:
            seen.add(current)
            todo += imports(current)
    return frozenset(seen)


def _files(inner: Path, names: list[str]) -> set[Path]:
    if (ROOT / inner.with_suffix(".py")).exists():
        return {inner.with_suffix(".py")}
    return {inner / f"{name}.py" for name in names if (ROOT / inner / f"{name}.py").exists()} or {
        inner / "__init__.py"
    }
