"""One direction of dependency, no side effects, and nothing imported under a second name."""

import ast
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter

import pytest
from import_graph import FOLDERS, ROOT, folders, imports, modules

ALLOWED = {
    "features": {"features"},
    "models": {"features", "models"},
    "pipelines": {"features", "models", "pipelines"},
}
CARRIED = (
    *(
        f"models/formula/{name}.py"
        for name in ("answers", "curve_tables", "formula", "tree_tables")
    ),
    *(
        f"models/decision/{name}.py"
        for name in (
            "decision",
            "draws",
            "eligibility",
            "evidence",
            "facts",
            "recommend",
            "strategy",
        )
    ),
    "models/offers.py",
    "models/total_return.py",
)

ONLY_PIPELINES = {"mlflow", "dvc", "duckdb", "logging", "subprocess", "pathlib", "os", "shutil"}


def names_imported(module):
    tree = ast.parse((ROOT / module).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module


@pytest.mark.parametrize("module", modules(), ids=str)
def test_dependencies_run_one_way(module):
    folders = {imported.parts[0] for imported in imports(module)}
    assert folders <= ALLOWED[module.parts[0]]


@pytest.mark.parametrize("module", modules(), ids=str)
def test_no_module_is_imported_under_its_bare_folder(module):
    assert not {name.split(".")[0] for name in names_imported(module)} & set(FOLDERS)


@pytest.mark.parametrize("module", [m for m in modules() if m.parts[0] != "pipelines"], ids=str)
def test_only_pipelines_touch_the_world(module):
    assert not {name.split(".")[0] for name in names_imported(module)} & ONLY_PIPELINES


def test_no_two_folders_import_each_other():
    TopologicalSorter(folders()).prepare()  # raises CycleError


def test_the_package_lists_every_folder():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = project["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted("winback." + ".".join(folder.parts) for folder in folders())


def test_what_the_registered_model_carries_imports_nothing_else_of_winback():
    allowed = {ROOT.joinpath(name).relative_to(ROOT) for name in CARRIED}
    for name in allowed:
        assert imports(name) <= allowed


def test_importing_every_module_prints_nothing_and_seeds_nothing():
    names = [
        "winback." + ".".join(m.with_suffix("").parts)
        for m in modules()
        if m.name not in ("__init__.py", "registered_model.py")
    ]
    code = (
        "import random, duckdb, lightgbm, mlflow, numpy, sklearn.base\n"  # theirs is not ours
        "before = (random.getstate(), numpy.random.get_state()[1].tolist())\n"
        f"import {', '.join(names)}\n"
        "assert before == (random.getstate(), numpy.random.get_state()[1].tolist())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_help_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from winback.pipelines.cli import main\n"
        "main([])\n"
        "heavy = {'pandas', 'numpy', 'lightgbm', 'mlflow', 'duckdb', 'dvc', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
