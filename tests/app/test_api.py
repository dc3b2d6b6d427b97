"""The named endpoints, used as the README shows it: gradio_client against a real studio that tells visitors apart."""

import time
from pathlib import Path

import pytest
from studio_process import PATIENCE_MS, Server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("api") / "projects", "--no-together")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def client(server):
    from gradio_client import Client

    return lambda key: Client(server.address, headers={"x-roundtable-key": key * 43}, verbose=False)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> tuple[Path, Path]:
    import soundfile
    from PIL import Image as Picture

    from engine.demo import compose_group_photo, demo_dialogue

    folder = tmp_path_factory.mktemp("inputs")
    Picture.fromarray(compose_group_photo().rgb).save(folder / "people.png")
    samples, rate = soundfile.read(demo_dialogue())
    soundfile.write(folder / "talk.wav", samples[int(7.5 * rate) : int(10.5 * rate)], rate)
    return folder / "people.png", folder / "talk.wav"


@pytest.fixture(scope="module")
def made(client, inputs):
    """A project made and analysed by one visitor: (client, name, plan)."""
    from gradio_client import handle_file

    ada = client("a")
    photo, sound = (handle_file(str(path)) for path in inputs)
    name = ada.predict("By a program", photo, [sound], 0, api_name="/new")["project"]
    return ada, name, ada.predict(name, 0, api_name="/analyse")


def test_new_and_analyse_give_the_plan(made):
    _, _, plan = made
    assert len(plan["faces"]) == 6
    assert plan["voices"]
    assert plan["turns"]
    assert plan["length"] == pytest.approx(3.0, abs=0.1)


def test_cast_render_status_download(made, tmp_path):
    from engine.media.probe import probe

    ada, name, plan = made
    voice = plan["voices"][0]["id"]
    after = ada.predict(name, "face-3", f"voice:{voice}", api_name="/cast")
    assert next(face for face in after["faces"] if face["id"] == "face-3")["choice"] == f"voice:{voice}"
    job = ada.predict(name, "animatic", 0, 2.0, api_name="/render")["job"]
    end = time.monotonic() + PATIENCE_MS / 1000
    while (state := ada.predict(job, api_name="/status"))["status"] not in ("done", "failed"):
        assert time.monotonic() < end, state
        time.sleep(0.5)
    assert state["status"] == "done", state["message"]
    files = [Path(path) for path in ada.predict(name, state["take"], "h264", "1:1", "beside", api_name="/download")]
    video = next(path for path in files if path.suffix == ".mp4")
    found = probe(video)
    assert (found.width, found.duration_s) == (found.height, pytest.approx(2.0, abs=0.1))
    assert {path.suffix for path in files} == {".mp4", ".srt", ".vtt"}


def test_errors_are_sentences(made):
    ada, name, _ = made
    for endpoint, values, said in (
        ("/analyse", ("../../etc", 0), "There is no project called"),
        ("/cast", (name, "face-99", "still"), "no longer part of the project"),
        ("/render", (name, "cinema", 0, 0), "no kind of take called cinema"),
        ("/render", (name, "animatic", 50, 60), "recording is"),
        ("/status", ("nothing",), "no longer part of the project"),
        ("/download", (name, "nothing", "h264", "photo", "none"), "no finished take"),
        ("/download", (name, "nothing", "exe; rm -rf /", "photo", "none"), "no finished take"),
    ):
        with pytest.raises(Exception, match=said):
            ada.predict(*values, api_name=endpoint)


def test_another_visitor_finds_nothing(made, client):
    _, name, _ = made
    bo = client("b")
    for endpoint, values in (
        ("/analyse", (name, 0)),
        ("/cast", (name, "face-3", "still")),
        ("/render", (name, "animatic", 0, 0)),
        ("/download", (name, "take", "h264", "photo", "none")),
    ):
        with pytest.raises(Exception, match="There is no project called"):
            bo.predict(*values, api_name=endpoint)


def test_only_what_is_meant_for_programs_is_listed(client):
    named = client("a").view_api(return_format="dict")["named_endpoints"]
    assert set(named) == {"/new", "/analyse", "/cast", "/render", "/status", "/download"}
