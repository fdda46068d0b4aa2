"""What a stage cost is kept beside the run, and never stands in the way of it."""

import json

from winback.pipelines.storage import resources


def test_what_a_process_used_is_counted():
    before = resources.used()
    block = bytearray(64 << 20)
    sum(range(2_000_000))
    after = resources.used()
    assert len(block) == 64 << 20
    assert after["cpu_seconds"] > before["cpu_seconds"]
    assert before["peak_mib"] <= after["peak_mib"] < 1e6


def test_costs_are_read_back_in_order_and_damaged_notes_are_unknown(tmp_path, monkeypatch):
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    for stage in ("report", "ingest", "featurize", "evaluate"):
        resources.keep(stage)
    folder = tmp_path / resources.FOLDER
    (folder / "featurize.json").write_text("{")
    (folder / "evaluate.json").write_text("[1]")
    assert list(resources.kept(("ingest", "featurize", "evaluate", "report"))) == [
        "ingest",
        "report",
    ]


def test_a_note_that_cannot_be_written_is_no_error_and_elsewhere_there_is_none(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    (tmp_path / ".winback").write_text("a file where the folder should be")
    (tmp_path / ".dvc").mkdir()
    resources.keep("ingest")
    assert resources.kept(("ingest",)) == {}
    bare = tmp_path / "bare"
    bare.mkdir()
    monkeypatch.setattr(resources, "root", lambda: bare)
    resources.keep("ingest")
    assert list(bare.iterdir()) == []


def test_a_run_keeps_the_cost_of_every_stage_outside_its_outputs(finished):
    notes = {
        file.stem: json.loads(file.read_text()) for file in (finished / ".winback").rglob("*.json")
    }
    assert len(notes) == 8
    assert all(note["cpu_seconds"] > 0 for note in notes.values())
    assert 50 < notes["train_winback"]["peak_mib"] < 10_000
    assert not list((finished / "reports").rglob("resources*"))
