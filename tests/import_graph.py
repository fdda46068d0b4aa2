"""Which module of winback imports which, read from the sources, function-level imports included.

`python tests/import_graph.py` draws the folders into docs/architecture.md.
"""

import ast
from collections.abc import Mapping
from functools import cache
from graphlib import TopologicalSorter
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


def folders() -> dict[Path, set[Path]]:
    """Folders of the package, and those that each imports from."""
    needs: dict[Path, set[Path]] = {}
    for module in modules():
        inner = {imported.parent for imported in imports(module)} - {module.parent}
        needs.setdefault(module.parent, set()).update(inner)
    return needs


def picture(needs: Mapping[Path, set[Path]]) -> str:
    """The folders as a Mermaid flowchart, without arrows that a longer way implies.

    Raises
    ------
    graphlib.CycleError
        If folders import each other in a circle.
    """
    order = [*TopologicalSorter(needs).static_order()]
    reach: dict[Path, set[Path]] = {}
    for folder in order:
        reach[folder] = set(needs[folder]).union(*(reach[other] for other in needs[folder]))
    lines = ["```mermaid", "flowchart BT"]
    for top in FOLDERS:
        lines.append(f"  subgraph {top}/")
        inside = sorted(folder for folder in needs if folder.parts[0] == top)
        lines += [f"    {_node(folder)}" for folder in inside]
        lines.append("  end")
    for folder in sorted(needs):
        implied = set().union(*(reach[other] for other in needs[folder]))
        lines += [f"  {_name(folder)} --> {_name(to)}" for to in sorted(needs[folder] - implied)]
    return "\n".join([*lines, "```"])


def _name(folder: Path) -> str:
    return "_".join(folder.parts) + ("_top" if len(folder.parts) == 1 else "")


def _node(folder: Path) -> str:
    label = "/".join(folder.parts[1:]) or (
        "stages and commands" if folder.name == "pipelines" else f"{folder.name}, top level"
    )
    return f'{_name(folder)}["{label}"]'


def drawn(page: str) -> str:
    """A page with the flowchart in it brought up to date."""
    before, _, rest = page.partition("```mermaid")
    _, _, after = rest.partition("\n```")
    return before + picture(folders()) + after


if __name__ == "__main__":
    architecture = ROOT / "docs" / "architecture.md"
    architecture.write_text(drawn(architecture.read_text()))
