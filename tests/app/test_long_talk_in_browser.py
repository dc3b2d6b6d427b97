"""Ten minutes, nine people, some four hundred turns: the page shows them, plays them, and redraws only what changed."""

import random
from pathlib import Path

import numpy as np
import pytest
from studio_process import Server, chromium, open_page, unexpected, wait_until

from engine.cast.suggest import suggest
from engine.demo import compose_group_photo
from engine.jobs.analyse import add_dialogue, add_photo
from engine.project.document import FACE_COLOURS, Face, Speaker, Turn
from engine.project.store import ProjectStore

pytestmark = [pytest.mark.browser, pytest.mark.slow]
LENGTH_S = 600


def long_turns() -> list[Turn]:
    """One after the other, with some overlap, never two at once of one voice."""
    chance, at_s, turns, ends = random.Random(1), 0.0, [], dict[str, float]()
    while at_s < LENGTH_S - 3:
        length_s, speaker = chance.uniform(0.6, 2.4), f"speaker-{chance.randint(1, 9)}"
        if at_s >= ends.get(speaker, 0.0):
            turns.append(Turn(speaker_id=speaker, start_s=at_s, end_s=at_s + length_s, text="Some words"))
            ends[speaker] = at_s + length_s
        at_s += length_s * chance.uniform(0.8, 1.1)
    return turns


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    import soundfile
    from PIL import Image as Picture

    folder = tmp_path_factory.mktemp("long")
    noise = np.random.default_rng(0).normal(0, 0.1, LENGTH_S * 8000) * np.sin(np.arange(LENGTH_S * 8000) / 9000)
    soundfile.write(folder / "long.wav", noise, 8000)
    Picture.fromarray(compose_group_photo().rgb).save(folder / "people.png")
    with ProjectStore.create(folder / "projects" / "long", "Ten minutes") as store:
        project = store.load()
        add_photo(store, project, folder / "people.png")
        add_dialogue(store, project, folder / "long.wav")
        scene = project.scene
        scene.faces = [
            Face(id=f"face-{n + 1}", name=f"Person {n + 1}", colour=FACE_COLOURS[n], box_px=_place(n)) for n in range(9)
        ]
        scene.speakers = [Speaker(id=f"speaker-{n}", name=f"Person {n}") for n in range(1, 10)]
        scene.turns = long_turns()
        scene.cast = suggest(scene.faces, scene.speakers)
        store.save(project)
    server = Server(Path(folder) / "projects")
    yield server
    server.stop()


def _place(n: int) -> tuple[float, float, float, float]:
    return (30 + 135 * n, 90, 130 + 135 * n, 220)


def test_hundreds_of_turns_stay_as_they_are_while_one_moves(server):
    with chromium() as browser:
        page, complaints = open_page(browser, server)
        count = len(server.scene()["turns"])
        assert count > 350
        page.wait_for_function(f"document.querySelectorAll('rt-timeline .rt-turn').length === {count}")
        assert page.locator("rt-people .rt-box").count() == page.locator("rt-timeline .rt-lane").count() == 9
        page.wait_for_function("document.querySelector('rt-timeline').peaks?.length === 24000")
        page.evaluate(
            """() => { window.redrawn = new Set(); const note = (node) => {
                const turn = (node.nodeType === 1 ? node : node.parentElement)?.closest?.('.rt-turn');
                if (turn) redrawn.add(turn.dataset.turn); };
            new MutationObserver(list => list.forEach(m => { note(m.target); m.addedNodes.forEach(note); }))
                .observe(document.querySelector('rt-timeline .rt-lanes'),
                         { subtree: true, childList: true, attributes: true }); }"""
        )
        turn = server.scene()["turns"][100]
        other = "speaker-1" if turn["speaker_id"] != "speaker-1" else "speaker-2"
        page.evaluate(
            f"document.querySelector('rt-timeline').act({{do: 'move_turns', turn_ids: ['{turn['id']}'],"
            f" speaker_id: '{other}'}})"
        )
        wait_until(lambda: turn["speaker_id"] != _speaker_at(server, turn["start_s"] + 0.3, other))
        page.wait_for_function("document.querySelector('.rt-status').innerText.includes('Person')")
        page.wait_for_timeout(1500)
        redrawn = page.evaluate("redrawn.size")
        assert 1 <= redrawn < 20, "the moved turn and its neighbours, whose overlaps changed; not four hundred"
        page.locator("body").press("Space")
        page.wait_for_function("document.querySelector('rt-timeline audio').currentTime > 0.5")
        assert unexpected(complaints) == []


def _speaker_at(server: Server, at_s: float, wanted: str) -> str:
    """``wanted`` where that voice speaks at this moment, else whoever does first."""
    here = [turn["speaker_id"] for turn in server.scene()["turns"] if turn["start_s"] <= at_s < turn["end_s"]]
    return wanted if wanted in here else here[0]
