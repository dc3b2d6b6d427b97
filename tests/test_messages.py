"""Every message that a creator can meet says what happened and what to do; conftest.py notes which ones tests met."""

import contextlib

from typer.testing import CliRunner

from engine.cli import app
from engine.errors import ProjectDamaged
from engine.messages import all_messages

NOTHING_TO_DO = {
    "RenderCancelled": "the creator asked for it",
    "engine/jobs/make_benchmark.py": "says why a video is left out of a benchmark",
    "engine/jobs/evaluate_folder.py": "says in a table why a video has no figures",
    "engine/jobs/queue.py": "how a take of the queue ended; the take itself says more",
    "engine/jobs/runner.py": "how a take of the queue ended; the take itself says more",
}


def test_each_says_what_happened_and_what_to_do():
    messages = all_messages()
    assert len(messages) > 250
    for message in messages:
        where = f"{message.path}:{message.line}"
        assert message.happened, where
        if message.kind not in NOTHING_TO_DO and message.path not in NOTHING_TO_DO:
            assert message.remedy, f"{where} does not say what to do: {message.happened}"


def test_each_is_made_of_whole_sentences():
    for message in all_messages():
        where = f"{message.path}:{message.line}"
        for text in filter(None, (message.happened, message.remedy)):
            assert text[-1] in ".)>}…" or text[-1].isdigit(), f"{where} ends without a full stop: {text}"
            assert text[0].isupper() or text[0] in "{`…-" or text.startswith("pyannote"), f"{where}: {text}"
            assert "Error:" not in text, f"{where} talks like a program: {text}"
            assert "Traceback" not in text, where


def test_the_words_are_found_through_names_formats_and_functions():
    by_function = {message.function: message for message in all_messages()}
    assert (
        by_function["split_turn"].happened == "A turn can only be split inside it: this one goes from {start} to {end}."
    )
    assert by_function["import_photo"].remedy.startswith("Use a")
    assert by_function["cleaned_name"].remedy == "The old name stays."


def test_the_list_is_a_command():
    result = CliRunner().invoke(app, ["messages"])
    assert result.exit_code == 0
    assert "engine/project/store.py" in result.output
    assert "There is a project in {folder} already." in result.output
    assert "→ Open it, or choose another folder." in result.output


def test_what_no_test_met_is_known(tmp_path, messages_met):
    """The notes that conftest takes: a message counts once it was made, and only then."""
    from engine.project.reading import read_project

    notes, unreached = messages_met
    wanted = next(m for m in all_messages() if m.happened.startswith("There is no {path.name} in"))
    shown = f"{wanted.path}:{wanted.line} "
    before = {note for note in notes if note[0].endswith("project/reading.py")}
    notes.difference_update(before)
    try:
        assert any(missed.startswith(shown) for missed in unreached())
        with contextlib.suppress(ProjectDamaged):
            read_project(tmp_path / "project.json")
        assert not any(missed.startswith(shown) for missed in unreached())
    finally:
        notes.update(before)
