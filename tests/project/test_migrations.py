import json
from pathlib import Path

import pytest

from engine.errors import ProjectDamaged
from engine.project.document import SCHEMA_VERSION, Part
from engine.project.migrations import UPGRADES, upgrade
from engine.project.reading import read_project

GOLDEN = Path(__file__).parent / "golden"


def test_every_older_version_has_an_upgrade_and_a_golden_file():
    assert sorted(UPGRADES) == list(range(1, SCHEMA_VERSION))
    assert {path.name for path in GOLDEN.glob("project_v*.json")} == {
        f"project_v{version}.json" for version in range(1, SCHEMA_VERSION + 1)
    }


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("project_v*.json")), ids=lambda path: path.stem)
def test_golden_projects_load_with_their_decisions(path):
    project = read_project(path)
    scene = project.scene
    assert project.schema_version == SCHEMA_VERSION
    assert [face.name for face in scene.faces] == ["Face 1", "Ben"]
    assert scene.member_of_face("face-1").lip_strength == 1.2
    assert [member.part for member in scene.cast] == [Part.TALKS, Part.LISTENS, Part.TALKS]
    assert scene.turns[1].overlapped
    assert scene.photo.original_name == "Grüße vom Sofa.png"
    assert scene.settings.range_s == (0.0, 5.0)
    assert scene.takes[0].report == {"lip_sync": {"face-1": 0.8}}


def test_golden_document_loses_nothing_when_saved_again():
    # Equal JSON, not just an equal model: a field that silently fell out of the document would show here.
    path = GOLDEN / f"project_v{SCHEMA_VERSION}.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    again = json.loads(read_project(path).model_dump_json())
    assert lost(stored, again) == []


def lost(stored: object, again: object, at: str = "") -> list[str]:
    """Where ``again`` lacks or changes something of ``stored``; fields that came later have their defaults."""
    if isinstance(stored, dict) and isinstance(again, dict):
        return [place for key in stored for place in lost(stored[key], again.get(key), f"{at}/{key}")]
    if isinstance(stored, list) and isinstance(again, list) and len(stored) == len(again):
        return [place for i, pair in enumerate(zip(stored, again, strict=True)) for place in lost(*pair, f"{at}/{i}")]
    return [] if stored == again else [at]


def test_upgrades_run_in_order_and_stamp_the_version():
    steps = {1: lambda d: {**d, "trail": d["trail"] + "a"}, 2: lambda d: {**d, "trail": d["trail"] + "b"}}
    assert upgrade({"schema_version": 1, "trail": ""}, steps, newest=3) == {"schema_version": 3, "trail": "ab"}
    assert upgrade({"schema_version": 2, "trail": ""}, steps, newest=3)["trail"] == "b"


def test_newer_document_is_refused_in_a_plain_sentence():
    with pytest.raises(ProjectDamaged, match="saved by a newer Roundtable") as caught:
        upgrade({"schema_version": SCHEMA_VERSION + 1})
    assert "Update Roundtable" in caught.value.remedy


@pytest.mark.parametrize(
    "document", [{}, [], None, {"schema_version": "1"}, {"schema_version": True}, {"schema_version": 0}]
)
def test_document_without_a_version_is_refused(document):
    with pytest.raises(ProjectDamaged, match="schema_version"):
        upgrade(document)
