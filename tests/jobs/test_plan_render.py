"""What a render is said to take, for saved scenes on machines that are only spoken of."""

import subprocess
import sys
from pathlib import Path

import pytest

from engine.dit.machine import GIB, Gpu, Machine
from engine.errors import ModelMissing, OutOfMemory, UnreadableMedia
from engine.jobs.plan_render import RenderCost, explain, plan_for, spoken_time
from engine.project.document import CastMember, Face, MediaInfo, MediaRef, Part, RenderSettings, Scene, Take
from engine.project.presets import load_preset

FINAL = load_preset("final").settings
COMPUTER = Machine((), 64 * GIB, 50 * GIB, 8, note="no NVIDIA driver was found")
MACHINE = COMPUTER.with_vram(24)


@pytest.fixture(autouse=True)
def _no_models(tmp_path, monkeypatch):
    monkeypatch.setenv("ROUNDTABLE_MODELS", str(tmp_path / "models"))


def scene_of(*parts: Part, size: tuple[int, int] = (1664, 960), seconds: float = 10.0) -> Scene:
    photo = MediaInfo(kind="image", width=size[0], height=size[1])
    faces = [
        Face(
            id=f"face-{index}",
            name=f"Face {index}",
            colour="#fff",
            box_px=(100 + 300 * index, 200, 300 * (index + 1), 400),
        )
        for index in range(len(parts))
    ]
    return Scene(
        photo=MediaRef(path="media/photo.png", sha256="1", info=photo),
        dialogue=MediaRef(path="media/talk.wav", sha256="2", info=MediaInfo(kind="audio", duration_s=seconds)),
        faces=faces,
        cast=[CastMember(face_id=face.id, part=part) for face, part in zip(faces, parts, strict=True)],
    )  # fmt: skip


PAIR = scene_of(Part.LISTENS, Part.LISTENS)


def cost(scene: Scene = PAIR, machine: Machine = MACHINE, **settings: object) -> RenderCost:
    return plan_for(scene, FINAL.model_copy(update=settings), machine)


def test_size_windows_and_people_are_those_of_the_saved_project():
    made = cost()
    assert (made.shape.width, made.shape.height, made.shape.num_frames) == (832, 480, 81)
    assert (made.num_frames, made.num_windows, made.num_people) == (240, 4, 2)
    assert made.peak_bytes == made.plan.peak_bytes < MACHINE.gpu.free_bytes


def test_still_people_and_uncast_faces_do_not_count():
    scene = scene_of(Part.LISTENS, Part.STILL, Part.TALKS)
    assert cost(scene).num_people == 2
    scene.cast.pop()
    assert cost(scene).num_people == 1


def test_a_range_and_a_short_talk_need_fewer_frames():
    assert cost(range_s=(2.0, 4.0)).num_frames == 48
    short = cost(scene_of(Part.LISTENS, seconds=1.0))
    assert (short.num_frames, short.num_windows, short.shape.num_frames) == (24, 1, 25)


def test_sides_are_whole_tokens_whatever_the_photo():
    for size in ((4000, 1000), (1000, 4000), (1234, 987)):
        shape = cost(scene_of(Part.LISTENS, size=size), range_s=(0, 1)).shape
        assert shape.width % 16 == shape.height % 16 == 0


def test_time_grows_with_length_and_less_than_whole_windows_where_the_last_is_short():
    ten, twenty, minute = (cost(scene_of(Part.LISTENS, seconds=seconds)).seconds for seconds in (10, 20, 60))
    assert ten < twenty < minute
    assert minute < 7 * ten
    assert cost().seconds < 4 * cost().plan.seconds + 60


def take(made: RenderCost, pace: float, **changes: object) -> Take:
    return Take(**({"settings": made.settings, "status": "done", "compute_s": pace * made.seconds} | changes))


def here() -> Machine:
    card = Gpu("NVIDIA GeForce RTX 4090", 24 * GIB, 23 * GIB, (8, 9), num_processors=128, clock_ghz=2.5)
    return Machine((card,), 64 * GIB, 50 * GIB, 16)


def test_finished_renders_correct_the_estimate():
    before = cost(machine=here())
    scene = PAIR.model_copy(deep=True)
    scene.takes = [take(before, pace) for pace in (1.5, 2.0, 8.0)]
    after = cost(scene, here())
    assert after.seconds == pytest.approx(2 * before.seconds)
    assert after.plan.seconds_per_step == pytest.approx(2 * before.plan.seconds_per_step)
    assert after.num_past_runs == 3
    assert "3 finished renders" in " ".join(explain(after))


def test_only_finished_renders_of_the_same_network_here_count():
    before = cost(machine=here())
    scene = PAIR.model_copy(deep=True)
    animatic = RenderSettings(kind="animatic", model="animatic")
    scene.takes = [
        take(before, 3, status="failed"), take(before, 3, compute_s=0), take(before, 3, settings=animatic),
        take(before, 1000),
    ]  # fmt: skip
    assert cost(scene, here()).seconds == before.seconds
    scene.takes.append(take(before, 3))
    assert cost(scene, here()).seconds == pytest.approx(3 * before.seconds)
    assert cost(scene, MACHINE).seconds == cost(PAIR, MACHINE).seconds  # spoken of: nothing was rendered there


def test_the_plan_is_told_in_lines():
    said = explain(cost(machine=COMPUTER.with_vram(8)))
    text = "\n".join(said)
    assert said[0] == "anytalker-1.3b: 832 × 480, 240 frames in 4 windows of up to 81; 2 people move."
    assert "7.5 GB of 8 GB are free for the render" in text
    assert "Computed in bfloat16; the transformer's weights take 3.6 GB." in text
    assert "take turns on the GPU" in text
    assert "decoded in tiles" in text
    assert "Time: about" in text
    assert "40 steps for each window" in text
    assert text.count("Predicted peak: ") == 1
    assert cost(machine=COMPUTER.with_vram(8)).sentences == said


def test_what_is_missing_is_told_with_the_command_that_gets_it():
    made = cost()
    assert "AnyTalker 1.3B (about 7.6 GB); " in made.missing
    assert "wav2vec2-base-960h (378 MB)" in made.missing
    assert "models get anytalker-1.3b" in explain(made)[-1]


def test_only_what_is_missing_is_told(tmp_path):
    path = tmp_path / "models" / "AnyTalker" / "1_3B-single-v1.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    made = cost()
    assert "AnyTalker 1.3B (" not in made.missing
    assert made.missing.startswith("Missing, 17 GB together: ")


def test_nothing_is_missing_where_everything_is(tmp_path):
    from engine.dit.catalogue import MODELS

    for part in MODELS["anytalker-1.3b"]:
        for file in part.files:
            path = tmp_path / "models" / part.folders[0] / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
    made = cost()
    assert made.missing == ""
    assert "models get" not in " ".join(explain(made))


def test_without_a_gpu_the_time_is_told_as_it_is():
    said = explain(cost(machine=COMPUTER))
    assert "No GPU is at hand: no NVIDIA driver was found." in said
    assert any("That is too long to wait for" in line for line in said)
    assert any("days" in line for line in said if line.startswith("Time"))


def test_a_torch_that_cannot_use_the_gpu_is_named():
    note = "there is an NVIDIA driver, but the CPU build of torch is installed, which cannot use it"
    blind = Machine((), 64 * GIB, 50 * GIB, 8, note=note)
    assert any("CPU build of torch" in line for line in explain(cost(machine=blind)))


def test_another_program_on_the_gpu_is_told():
    card = Gpu("NVIDIA GeForce RTX 4090", 24 * GIB, 15 * GIB, (8, 9), num_processors=128, clock_ghz=2.5)
    busy = Machine((card,), 64 * GIB, 50 * GIB, 16)
    assert any("Another program uses 9 GB of NVIDIA GeForce RTX 4090" in line for line in explain(cost(machine=busy)))


def test_bad_input_is_refused_in_words():
    with pytest.raises(OutOfMemory, match="of a GPU of 2 GB"):
        cost(machine=COMPUTER.with_vram(2))
    with pytest.raises(ModelMissing, match="animatic"):
        plan_for(PAIR, RenderSettings(), MACHINE)
    with pytest.raises(ModelMissing, match="huge"):
        cost(model="huge")
    with pytest.raises(UnreadableMedia, match="photo"):
        cost(PAIR.model_copy(update={"photo": None}))
    with pytest.raises(UnreadableMedia, match="recording"):
        cost(PAIR.model_copy(update={"dialogue": None}))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "0.04 seconds"), (8.2, "8 seconds"), (71, "70 seconds"), (130, "2 minutes"), (740, "12 minutes"),
     (3300, "55 minutes"), (9000, "2 hours"), (200_000, "2 days")],
)  # fmt: skip
def test_times_are_told_as_one_would_say_them(seconds, said):
    assert spoken_time(seconds) == said


def test_a_plan_is_made_without_torch():
    """By the page, which must neither wait for torch nor take memory from a GPU."""
    code = (
        "import sys; from engine.jobs.plan_render import plan_for; from engine.dit.machine import Machine;"
        "from engine.project.document import Scene; scene = Scene.model_validate_json(sys.stdin.read());"
        "settings = scene.settings.model_copy(update={'kind': 'final', 'model': 'anytalker-1.3b'});"
        "print(*plan_for(scene, settings, Machine((), 2**36, 2**36, 8).with_vram(12)).sentences, sep='\\n');"
        "assert 'torch' not in sys.modules"
    )
    root, command = Path(__file__).parents[2], [sys.executable, "-c", code]
    said = subprocess.run(command, input=PAIR.model_dump_json(), capture_output=True, text=True, check=True, cwd=root)
    assert said.stdout.startswith("anytalker-1.3b: 832 × 480")
