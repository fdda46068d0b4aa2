"""dvc.yaml, params.yaml, the modules and the command line name the same things."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from import_graph import FOLDERS, ROOT, closure

from winback.pipelines.cli import COMMANDS
from winback.pipelines.settings.params import Params, read_params
from winback.pipelines.settings.yaml_dataclasses import read_yaml

PIPELINE = read_yaml(ROOT / "dvc.yaml")
STAGES = PIPELINE["stages"]
EVERYWHERE = {
    "pipelines/settings/params.py",
    "pipelines/job/progress.py",
}  # neither changes what comes out


def code_deps(stage):
    """The modules that DVC watches for a stage; a folder stands for all that is in it."""
    deps = [dep for dep in STAGES[stage]["deps"] if dep.startswith(FOLDERS)]
    inner = [path for dep in deps for path in (ROOT / dep, *(ROOT / dep).rglob("*.py"))]
    modules = {path.relative_to(ROOT) for path in inner if path.suffix == ".py"}
    return {path.as_posix() for path in modules if path.name != "__init__.py"}


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_the_modules_that_the_stage_imports(stage):
    module = Path("pipelines") / f"{stage}.py"
    imported = {path.as_posix() for path in closure(module)} - EVERYWHERE
    expected = {path for path in imported if not path.endswith("__init__.py")}
    found = code_deps(stage)
    assert found == expected, f"deps of {stage} should be:\n" + "\n".join(
        f"      - {path}" for path in sorted(expected)
    )


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_no_other_stage_and_no_command(stage):
    commands = {Path("pipelines") / f"{name}.py" for name in COMMANDS} - {
        Path("pipelines") / f"{stage}.py"
    }
    assert not closure(Path("pipelines") / f"{stage}.py") & commands


def test_a_stage_is_a_section_a_module_and_a_subcommand():
    sections = {field.name for field in fields(Params)} - {"machine", "promote"}
    assert set(STAGES) - {"fingerprint"} == sections
    for stage in STAGES:
        assert STAGES[stage]["cmd"].split()[:2] == ["winback", stage]
        assert stage in COMMANDS


@pytest.mark.parametrize("stage", STAGES)
def test_a_command_names_exactly_its_deps_and_outputs(stage):
    outs = [*STAGES[stage].get("outs", ()), *STAGES[stage].get("metrics", ())]
    written = {out if isinstance(out, str) else next(iter(out)) for out in outs}
    read = {dep for dep in STAGES[stage]["deps"] if dep.startswith(("data/", "artifacts/", "repo"))}
    # data/features/train_churn.json says which files of data/features the stage reads
    read = {str(Path(dep).parent) if Path(dep).stem == stage else dep for dep in read}
    named = set(re.findall(r"--\w+ (\S+)", STAGES[stage]["cmd"]))
    assert named == written | (read - {"data/fingerprint.json"})


def test_the_shipped_params_are_read_and_lists_are_blocks():
    assert read_params(ROOT / "params.yaml").ingest.source == "sources/kumar.yaml"
    assert not re.search(r":\s*\[", (ROOT / "params.yaml").read_text())


def test_caches_of_python_are_not_dependencies():
    assert "__pycache__" in (ROOT / ".dvcignore").read_text()
