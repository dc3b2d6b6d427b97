"""The whole way of a creator in a real Chromium, on a real studio with the embedded engine: six people, six seconds."""

import json
import os
import signal
from pathlib import Path

import pytest
from studio_process import Server, chromium, drop, open_page, told, unexpected, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> tuple[Path, Path]:
    """A photo of six people, and 6.3 s in which two talk."""
    import soundfile
    from PIL import Image as Picture

    from engine.demo import compose_group_photo, demo_dialogue

    folder = tmp_path_factory.mktemp("inputs")
    photo, sound = folder / "our people & friends.png", folder / "a 'talk' (1).wav"
    Picture.fromarray(compose_group_photo().rgb).save(photo)
    samples, rate = soundfile.read(demo_dialogue())
    soundfile.write(sound, samples[int(6.5 * rate) : int(12.8 * rate)], rate)
    return photo, sound


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("studio") / "projects")
    yield server
    if server.process.poll() is None:
        server.stop()


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser, server):
    page, complaints = open_page(browser, server)
    yield page
    page.context.close()
    assert unexpected(complaints) == []


def part_of(page, name: str):
    return page.get_by_label(f"{name}: part", exact=True)


def parts(server: Server) -> dict[str | None, tuple[str, str | None]]:
    return {member["face_id"]: (member["part"], member["speaker_id"]) for member in server.scene()["cast"]}


def turns_of(server: Server, speaker: str) -> list[str]:
    return [turn["id"] for turn in server.scene()["turns"] if turn["speaker_id"] == speaker]


def box_of(server: Server, face_id: str) -> list[float]:
    return next(face for face in server.scene()["faces"] if face["id"] == face_id)["box_px"]


def idle(page) -> None:
    page.locator(".rt-progress").first.wait_for(state="hidden")


def test_the_first_screen_asks_for_two_files_and_has_at_most_eight_controls(page):
    page.get_by_text("One group photo and one recorded conversation").wait_for()
    controls = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, textarea, a[href], audio, video')].filter(e => {
            const box = e.getBoundingClientRect(), style = getComputedStyle(e);
            return box.width > 1 && box.height > 1 && style.visibility !== 'hidden' && style.opacity !== '0'
                && box.top < innerHeight && !e.closest('.rt-pop > :not(button)') && e.offsetParent !== null;
        }).map(e => (e.innerText || e.getAttribute('aria-label') || e.placeholder || e.tagName).trim().slice(0, 40))"""
    )
    assert 4 <= len(controls) <= 8, controls
    for hidden in ("Who says what", "How lively", "Takes", "Export"):
        assert (
            page.get_by_role("heading", name=hidden).count() == 0
            or not page.get_by_role("heading", name=hidden).is_visible()
        )


def test_photo_and_recording_become_a_plan_by_themselves(page, server, inputs):
    photo, sound = inputs
    drop(page, "photo", photo)
    page.locator(".rt-progress").first.wait_for()
    drop(page, "sound", sound)
    page.locator(".rt-sentence", has_text="6 faces, ").wait_for()
    wait_until(lambda: server.scene()["turns"])
    idle(page)
    found = set(turns_of(server, "speaker-1"))
    page.get_by_label("People in the recording").click()
    page.get_by_role("option", name="2 people speak", exact=True).click()
    wait_until(lambda: {m["id"] for m in server.scene()["turns"]} - found and len(server.scene()["speakers"]) == 2)
    idle(page)
    page.locator(".rt-sentence", has_text="6 faces, 2 voices").wait_for()
    assert page.locator("rt-people .rt-box").count() == 6
    assert page.locator("rt-people .rt-voice").count() == 2
    assert page.locator("rt-timeline .rt-turn").count() == len(server.scene()["turns"])
    scene = server.scene()
    assert [scene["photo"]["original_name"], scene["dialogue"]["original_name"]] == [photo.name, sound.name]
    assert page.locator(".rt-stage img").get_attribute("alt").startswith("The photo with 6 numbered faces: Face 1")
    page.wait_for_function("document.querySelector('rt-timeline').peaks?.length > 200")


def test_two_voices_are_swapped_by_clicking_a_face_then_a_voice(page, server):
    assert parts(server)["face-1"] == ("talks", "speaker-1")
    page.get_by_role("button", name="Select Face 1").click()
    page.get_by_text("Face 1 is selected").wait_for()
    page.locator("rt-people .rt-voice").nth(1).locator(".rt-note").click()
    told(page, "Face 1 talks as Speaker 2.")
    page.get_by_role("button", name="Select Face 2").click()
    page.keyboard.press("1")
    told(page, "Face 2 talks as Speaker 1.")
    assert parts(server)["face-1"] == ("talks", "speaker-2")
    assert parts(server)["face-2"] == ("talks", "speaker-1")
    page.keyboard.press("Control+z")
    wait_until(lambda: parts(server)["face-2"] != ("talks", "speaker-1"))
    page.get_by_role("button", name="Redo").click()
    wait_until(lambda: parts(server)["face-2"] == ("talks", "speaker-1"))


def test_a_turn_moves_to_another_speaker_at_once_however_slow_the_server_is(page, server):
    lane = page.locator("rt-timeline .rt-lane")
    turn = lane.nth(0).locator(".rt-turn").first
    turn.scroll_into_view_if_needed()
    name = turn.get_attribute("data-turn")
    held: list = []  # the server hears of nothing until these are let go
    page.route("**/queue/join*", lambda route: held.append(route))
    start, goal = turn.bounding_box(), lane.nth(1).bounding_box()
    page.mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
    page.mouse.down()
    page.mouse.move(start["x"] + start["width"] / 2 + 1, goal["y"] + goal["height"] / 2, steps=4)
    page.mouse.up()
    there = f"document.querySelectorAll('rt-timeline .rt-lane')[1].querySelector('[data-turn=\"{name}\"]') !== null"
    assert page.evaluate(there), "shown before the server has answered"
    assert name not in turns_of(server, "speaker-2")
    page.unroute("**/queue/join*")  # lets them go
    assert held
    wait_until(lambda: name not in turns_of(server, "speaker-1"))


def test_turns_are_split_merged_trimmed_deleted_and_added_with_the_keyboard(page, server):
    before = server.scene()["turns"]
    longest = max(before, key=lambda turn: turn["end_s"] - turn["start_s"])
    turn = page.locator(f"rt-timeline [data-turn='{longest['id']}']")
    turn.scroll_into_view_if_needed()
    box = turn.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.keyboard.press("s")
    wait_until(lambda: len(server.scene()["turns"]) == len(before) + 1, "for the split")
    first = page.locator("rt-timeline .rt-turn.rt-selected")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+z")
    told(page, "Taken back.")
    page.wait_for_function(f"document.querySelectorAll('rt-timeline .rt-turn').length === {len(before)}")
    assert first.count() == 0
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.keyboard.press("Delete")
    wait_until(lambda: len(server.scene()["turns"]) == len(before) - 1, "for the deletion")
    page.keyboard.press("Control+z")
    wait_until(lambda: server.scene()["turns"] == before, "for undo")
    told(page, "Taken back.")


def test_playing_moves_the_playhead_and_lights_up_whoever_talks(page, server):
    page.locator("rt-timeline").scroll_into_view_if_needed()
    page.locator("body").press("Space")
    page.wait_for_function("document.querySelector('rt-timeline audio').currentTime > 1.2")
    page.wait_for_function("document.querySelector('rt-people .rt-box.rt-speaking') !== null")
    assert page.locator("rt-timeline audio").evaluate("a => a.duration") == pytest.approx(6.3, abs=0.1)
    page.locator("body").press("Space")
    page.wait_for_function("document.querySelector('rt-timeline audio').paused")
    at = page.locator("rt-timeline audio").evaluate("a => a.currentTime")
    page.locator("body").press("ArrowLeft")
    page.wait_for_function(f"document.querySelector('rt-timeline audio').currentTime < {at} - 0.05")
    page.get_by_role("button", name="Listen to Speaker 1").click()
    page.wait_for_function(
        "[...document.querySelectorAll('rt-people audio')].some(a => !a.paused && a.currentTime > 0)"
    )


def test_one_face_stays_still_and_the_listeners_become_lively(page, server):
    part_of(page, "Face 5").select_option("still")
    told(page, "Face 5 stays still.")
    strength = page.locator("#interaction_strength input[type=number]")
    strength.fill("2")
    strength.press("Enter")
    page.locator("#interaction_strength input[type=range]").press("End")
    page.locator("#interaction_strength input[type=range]").dispatch_event("pointerup")
    wait_until(lambda: server.scene()["interaction_strength"] == 2)
    page.get_by_role("button", name="Select Face 3").click()
    page.locator("rt-people .rt-selected [data-field=liveliness] input").fill("1.6")
    page.get_by_placeholder("Who agreed, and how").locator("visible=true").fill("By mail <b>2 Nov</b>")
    page.get_by_placeholder("Who agreed, and how").locator("visible=true").press("Tab")
    wait_until(lambda: any(face["consent"] == "By mail <b>2 Nov</b>" for face in server.scene()["faces"]))
    assert next(m for m in server.scene()["cast"] if m["face_id"] == "face-3")["liveliness"] == 1.6


def test_names_are_text_and_a_second_tab_sees_them(page, server):
    name = page.get_by_label("Name of voice 1", exact=True)
    name.fill("Ada <i>L</i>")
    name.press("Enter")
    other = page.context.new_page()
    other.goto(server.address)
    other.wait_for_function("[...document.querySelectorAll('rt-people input')].some(i => i.value === 'Ada <i>L</i>')")
    part_of(other, "Face 6").select_option("still")
    page.wait_for_function("document.querySelector('[aria-label=\"Face 6: part\"]').value === 'still'")
    other.close()
    assert server.scene()["speakers"][0]["name"] == "Ada <i>L</i>"


def test_previews_say_what_they_lack_and_the_plan_can_be_played(page):
    page.get_by_text("Get it under Networks above").wait_for()
    assert "GB" in page.locator("#costs").inner_text()
    for name, possible in (("animatic", True), ("preview", False), ("final", False)):
        assert page.locator(f"button#{name}").is_enabled() is possible


def test_a_paused_and_cancelled_render_leaves_the_plan(page, server):
    before = server.scene()
    page.locator("button#animatic").click()
    job = page.locator("rt-queue .rt-job").first
    job.get_by_role("button", name="Pause").click()
    job.get_by_text("Paused").wait_for()
    job.get_by_role("button", name="Go on").click()
    job.get_by_role("button", name="Cancel").click()
    job.get_by_text("Cancelled").wait_for()
    wait_until(lambda: [take["status"] for take in server.scene()["takes"]] in (["cancelled"], []))
    after = server.scene()
    after.pop("takes"), before.pop("takes")
    assert after == before
    assert not list(server.projects.glob("*/takes/*/video.mp4"))


def test_a_killed_worker_is_told_and_nothing_is_lost(page, server):
    before = server.scene()["cast"]
    page.locator("button#animatic").click()
    page.locator("rt-queue .rt-job progress[max]").first.wait_for()
    worker = server.worker()
    assert worker
    os.kill(worker, signal.SIGKILL)
    job = page.locator("rt-queue .rt-job").first
    job.get_by_text("Failed").wait_for()
    assert "memory" in job.locator(".rt-note").inner_text()
    assert server.scene()["cast"] == before


def test_a_reload_in_the_middle_of_a_render_finds_it_again_and_the_video_comes(page, server):
    page.locator("button#animatic").click()
    page.locator("rt-queue .rt-running").wait_for()
    page.reload()
    page.locator("rt-queue .rt-running").wait_for()
    page.locator("rt-takes video").first.wait_for()
    page.wait_for_function("document.querySelector('rt-takes video').duration > 6")
    video = page.locator("rt-takes video").first
    assert video.evaluate("v => v.duration") == pytest.approx(6.3, abs=0.1)
    video.evaluate("v => { v.muted = true; return v.play(); }")
    page.wait_for_function("document.querySelector('rt-takes video').currentTime > 0.5")
    assert video.evaluate("v => v.videoWidth * v.videoHeight") > 100_000
    page.locator("rt-queue .rt-job").first.get_by_text("Finished").wait_for()
    page.locator("rt-takes .rt-check-sentence").wait_for()
    take = next(take for take in server.scene()["takes"] if take["status"] == "done")
    assert take["report"]["turns"]
    assert page.locator("rt-takes .rt-check-row").count() >= 2


def test_the_take_is_exported_upright_with_captions_and_downloaded(page, server, tmp_path):
    from engine.media.probe import probe

    page.locator("#export").scroll_into_view_if_needed()
    page.get_by_role("radio", name="Upright 9:16").check()
    page.get_by_role("radio", name="In the picture").check()
    wait_until(
        lambda: (server.scene()["export"]["aspect"], server.scene()["export"]["captions"]) == ("9:16", "burnt-in")
    )
    page.locator("button#export-now").click()
    link = page.locator("#exported a").first
    link.wait_for()
    with page.expect_download() as download:
        link.click()
    target = tmp_path / download.value.suggested_filename
    download.value.save_as(target)
    found = probe(target)
    assert (found.kind, found.duration_s) == ("video", pytest.approx(6.3, abs=0.1))
    assert found.height / found.width == pytest.approx(16 / 9, abs=0.02)


def test_a_turn_is_made_again_and_both_takes_play_side_by_side(page, server):
    done = [take for take in server.scene()["takes"] if take["status"] == "done"]
    turn = done[-1]["report"]["turns"][0]["turn_id"]
    asked = json.dumps({"do": "redo_turn", "take_id": done[-1]["id"], "turn_id": turn})
    page.locator("rt-takes .rt-take").first.wait_for()
    page.evaluate(f"document.querySelector('rt-takes').act({asked})")
    page.locator("rt-takes .rt-take").nth(1).wait_for()
    page.locator("rt-takes .rt-take").nth(1).get_by_role("button", name="Compare").click()
    page.wait_for_function("document.querySelectorAll('rt-takes video').length === 2")
    page.wait_for_function("[...document.querySelectorAll('rt-takes video')].every(v => v.duration > 6)")
    page.evaluate("document.querySelector('rt-takes video').currentTime = 3")
    page.wait_for_function("Math.abs(document.querySelectorAll('rt-takes video')[1].currentTime - 3) < 0.2")
    again = [take for take in server.scene()["takes"] if take["status"] == "done"][-1]
    assert (again["redo_of"], again["settings"]["seed"] != done[-1]["settings"]["seed"]) == (done[-1]["id"], True)


def test_files_that_were_brought_are_not_given_out(page, server):
    media = next(server.projects.glob("*/media/*"))
    document = next(server.projects.glob("*/project.json"))
    video = next(server.projects.glob("*/takes/*/video.mp4"))
    for path in (media, document, video, Path("/etc/hostname")):
        reply = page.context.request.get(f"{server.address}gradio_api/file={path}")
        assert reply.status in (403, 404), path


def test_a_hostile_upload_is_a_sentence_and_changes_nothing(page, server, tmp_path):
    before = server.saved()
    bad = tmp_path / "holiday<img src=x>.png"
    bad.write_bytes(b"<script>alert(1)</script>" * 50)
    drop(page, "photo", bad)
    page.locator(".rt-problem").wait_for()
    assert "holiday" in page.locator(".rt-problem").inner_text()
    assert page.locator(".rt-problem img").count() == 0
    page.get_by_test_id("toast-body").wait_for()
    assert server.saved() == before


def test_a_face_is_drawn_moved_and_removed(page, server):
    stage = page.locator(".rt-stage")
    stage.scroll_into_view_if_needed()
    area = stage.bounding_box()
    place = lambda x, y: (area["x"] + area["width"] * x, area["y"] + area["height"] * y)  # noqa: E731
    page.mouse.move(*place(0.02, 0.03))
    page.mouse.down()
    page.mouse.move(*place(0.09, 0.25), steps=4)
    page.mouse.up()
    told(page, "Face 7 is marked")
    drawn = next(face for face in server.scene()["faces"] if face["id"] == "face-7")
    assert drawn["origin"] == "drawn"
    assert drawn["box_px"][2] == pytest.approx(0.09 * 1280, abs=12)
    box = page.locator("rt-people .rt-box[data-face='face-7']")
    box.focus()
    page.keyboard.press("Shift+ArrowRight")
    wait_until(
        lambda: next(f for f in server.scene()["faces"] if f["id"] == "face-7")["box_px"][0] > drawn["box_px"][0] + 3
    )
    box.focus()
    page.keyboard.press("Delete")
    told(page, "Face 7 is removed.")
    assert len(server.scene()["faces"]) == 6


def test_after_a_kill_everything_is_there_again(page, server, browser):
    title = server.saved()["title"]
    page.context.close()
    server.stop(signal.SIGKILL)
    again = Server(server.projects)
    try:
        window, _ = open_page(browser, again)
        told(window, f"Welcome back to {title}")
        window.locator("rt-takes video").first.wait_for()
        assert window.locator("rt-timeline .rt-turn").count() == len(again.scene()["turns"])
        window.context.close()
    finally:
        again.stop()
