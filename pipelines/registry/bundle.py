"""The code of a registered model as one text, with the hashes of the files beside it.

Consumers run it without this package. Before it parses anything it compares every file of the
model, and its own text, with the hashes that were written into it at registration. Whoever may
write to the artifact store could replace the text as a whole; that is noticed by `registry`, which
compares all of it with the hash in the registry's database, and only there.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
FILES = "FILES: dict[str, str] = {}"  # a line of registered_model.py
SELF_CHECK = """\
from __future__ import annotations

import hashlib
import pathlib

if hashlib.sha256(pathlib.Path(__file__).read_bytes().split(b"\\n", 8)[8]).hexdigest() != (
    "{hash}"
): raise ImportError("the model's code was changed or truncated; restore it or register it again")
"""


def bundle(files: Mapping[str, str]) -> str:
    """The registered model's code as one text without imports of this package.

    Parameters
    ----------
    files
        SHA-256 of each file of the model, by its path in the model's folder.
    """
    modules = _needed(HERE / "registered_model.py")
    _no_name_twice(modules)
    body = "\n\n".join(_standalone(path.read_text()) for path in modules)
    if body.count(FILES) != 1:
        raise ValueError(f"registered_model.py must hold the line '{FILES}' once")
    written = "".join(f"    {name!r}: {digest!r},\n" for name, digest in sorted(files.items()))
    body = body.replace(FILES, f"FILES: dict[str, str] = {{\n{written}}}") + "\n"
    return SELF_CHECK.format(hash=hashlib.sha256(body.encode()).hexdigest()) + body


def _needed(module: Path) -> list[Path]:
    """The module and what it imports of this package, each after all that it needs."""
    modules: list[Path] = []
    for node in _own_imports(module):
        folder = module.parents[node.level - 1]
        inner = (folder / str(node.module).replace(".", "/")).with_suffix(".py")
        modules += [path for path in _needed(inner) if path not in modules]
    return [*modules, module]


def _no_name_twice(modules: list[Path]) -> None:
    """In one text the second definition of a name would silently replace the first."""
    defined: dict[str, Path] = {}
    for module in modules:
        for node in ast.parse(module.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names = [node.name]
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names = [target.id for target in targets if isinstance(target, ast.Name)]
            else:
                continue
            for name in names:
                if name in defined:
                    raise ValueError(
                        f"{defined[name].name} and {module.name} both define '{name}', and the "
                        "registered model holds them in one text; rename one"
                    )
                defined[name] = module


def _own_imports(module: Path) -> list[ast.ImportFrom]:
    body = ast.parse(module.read_text()).body
    imports = [node for node in body if isinstance(node, ast.ImportFrom) and node.level]
    if any(not node.module or any(name.asname for name in node.names) for node in imports):
        raise ValueError(f"{module.name}: import names of this package from a module, as they are")
    return imports


def _standalone(text: str) -> str:
    """A module's text without the imports of this package."""
    lines = text.splitlines()
    for node in ast.parse(text).body:
        if isinstance(node, ast.ImportFrom) and (node.level or node.module == "__future__"):
            end = node.end_lineno or node.lineno
            lines[node.lineno - 1 : end] = [""] * (end - node.lineno + 1)
    return "\n".join(lines)
