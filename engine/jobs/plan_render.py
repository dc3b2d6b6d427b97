"""What a render of a saved project will take on this machine, before anything is loaded: for command line and page."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from engine.cast.timeline import num_frames
from engine.dit.catalogue import MODELS, PartFile, gigabytes, missing_error, missing_parts
from engine.dit.machine import Machine, in_gb, this_machine
from engine.dit.memory import MemoryPlan, plan_memory
from engine.dit.network_size import NETWORKS, NetworkSize
from engine.dit.shapes import VideoShape, whole_windows_frames
from engine.dit.windows import plan_windows
from engine.errors import ModelMissing, OutOfMemory, UnreadableMedia
from engine.jobs.evidence import duration_s
from engine.jobs.model_settings import settings_of_model
from engine.jobs.scene_plan import frame_for
from engine.project.document import Part, RenderSettings, Scene, Take, TakeKind

READ_BYTES_PER_S = 1e9  # of weights from a disk of today
PACE_LIMITS = (0.05, 20.0)  # an earlier render that differs more was made elsewhere, or while something else ran
HOPELESS_S = 6 * 3600.0


@dataclass(frozen=True)
class RenderCost:
    """What rendering takes. ``shape``: a window as the network sees it; ``seconds``: of the whole render, an estimate
    corrected by ``num_past_runs`` finished ones; ``missing``: what is not here and how to get it, "" = nothing."""

    model: str
    settings: RenderSettings
    machine: Machine
    plan: MemoryPlan
    shape: VideoShape
    num_frames: int
    num_windows: int
    num_people: int
    seconds: float
    num_past_runs: int = 0
    missing: str = ""

    @property
    def peak_bytes(self) -> int:
        """Of the GPU, or of the computer where there is none."""
        return self.plan.peak_bytes

    @property
    def sentences(self) -> list[str]:
        return explain(self)


def plan_for(scene: Scene, settings: RenderSettings, machine: Machine | None = None) -> RenderCost:
    """The cost of rendering ``scene`` with ``settings``, on ``machine`` (None = this one, as it is now).

    Raises ModelMissing for a model that is none of the networks, UnreadableMedia without a photo or a recording,
    OutOfMemory when nothing fits.
    """
    here, settings = machine or this_machine(), settings_of_model(settings)
    cost = _estimate(scene, settings, here)
    paces = [] if here.assumed else _paces(scene, settings.model, here)
    pace = median(paces) if paces else 1.0
    return replace(
        cost,
        plan=cost.plan.paced(pace),
        seconds=cost.seconds * pace,
        num_past_runs=len(paces),
        missing=_told_missing(settings.model),
    )


def explain(cost: RenderCost) -> list[str]:
    """The plan in lines for people: what is rendered, on what, how, in which time, and what is missing."""
    plan, settings, shape = cost.plan, cost.settings, cost.shape
    windows = "1 window" if cost.num_windows == 1 else f"{cost.num_windows} windows"
    people = "1 person moves" if cost.num_people == 1 else f"{cost.num_people} people move"
    lines = [
        f"{cost.model}: {shape.width} × {shape.height}, {cost.num_frames} frames in {windows} of up to {plan.window}; "
        f"{people}.",
        *cost.machine.described(),
        f"Computed in {plan.dtype}; the transformer's weights take {in_gb(plan.weights_bytes)}.",
        *plan.reasons,
        _told_peak(cost),
        f"Time: about {spoken_time(cost.seconds)}; {settings.num_inference_steps} steps for each window, "
        f"{spoken_time(plan.seconds_per_step)} each. {_told_past_runs(cost)}".rstrip(),
    ]
    if cost.seconds > HOPELESS_S and cost.machine.gpu is None:
        lines.append("That is too long to wait for: render on a computer with a GPU. The animatic is there in seconds.")
    return [*lines, cost.missing] if cost.missing else lines


def spoken_time(seconds: float) -> str:
    """Rounded as one would say it: "8 seconds", "12 minutes", "3 hours", "2 days"."""
    for unit, length in (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0)):
        if seconds >= 1.5 * length:
            return f"{_rounded(seconds / length)} {unit}s"
    return f"{_rounded(seconds)} seconds" if seconds >= 1.5 else f"{max(seconds, 0.01):.1g} seconds"


def _rounded(amount: float) -> int:
    return round(amount) if amount < 20 else 5 * round(amount / 5)


def _told_peak(cost: RenderCost) -> str:
    gpu = cost.machine.gpu
    of_what = f"{in_gb(gpu.available_bytes)} on the GPU" if gpu else f"{in_gb(cost.machine.ram_available_bytes)} here"
    beside = f", and {in_gb(cost.plan.ram_bytes)} of the computer's memory" if gpu else ""
    return f"Predicted peak: {in_gb(cost.peak_bytes)} of {of_what}{beside}."


def _told_missing(model: str) -> str:
    """The parts that are not here, each with the size of what it lacks; file by file the catalogue tells it."""
    absent = missing_parts(model)
    if not absent:
        return ""
    parts = {each.part.title: [other.file for other in absent if other.part is each.part] for each in absent}
    listed = "; ".join(f"{title} ({_told_size(files)})" for title, files in parts.items())
    everything = _told_size([each.file for each in absent])
    return f"Missing, {everything} together: {listed}. {missing_error(model, absent).remedy}"


def _told_size(files: Sequence[PartFile]) -> str:
    about = "about " if any(file.approximate for file in files) else ""
    return about + gigabytes(sum(file.num_bytes for file in files))


def _told_past_runs(cost: RenderCost) -> str:
    if not cost.num_past_runs:
        return "An estimate: nothing has been rendered with this network here."
    return f"By what {cost.num_past_runs} finished render{'s' if cost.num_past_runs > 1 else ''} took."


def _estimate(scene: Scene, settings: RenderSettings, machine: Machine) -> RenderCost:
    size, shape = _network(settings), _shape(scene, settings)
    people = _num_moving(scene)
    count = _num_frames(scene, settings)
    plan = plan_memory(size, shape, people, machine, settings)
    shape = replace(shape, num_frames=plan.window)
    lengths = [span.num_frames for span in plan_windows(count, plan.window, settings.overlap)]
    encoders_bytes = sum(part.num_bytes for part in MODELS[settings.model][1:])  # read once for every take
    loading = (plan.weights_bytes + encoders_bytes) / READ_BYTES_PER_S
    seconds = loading + plan.seconds * sum(_share(length, size, shape, people) for length in lengths)
    return RenderCost(settings.model, settings, machine, plan, shape, count, len(lengths), people, seconds)


def _share(length: int, size: NetworkSize, shape: VideoShape, num_people: int) -> float:
    """Of a whole window's time; the last one may be shorter."""
    own = replace(shape, num_frames=length)
    return size.forward_flops(own, num_people) / size.forward_flops(shape, num_people)


def _network(settings: RenderSettings) -> NetworkSize:
    if settings.kind is TakeKind.ANIMATIC or settings.model not in NETWORKS:
        raise ModelMissing(
            f"There is no plan for the model {settings.model}.",
            f"Choose one of {', '.join(MODELS)} as preview or final.",
        )
    return NETWORKS[settings.model]


def _shape(scene: Scene, settings: RenderSettings) -> VideoShape:
    info = scene.photo.info if scene.photo else None
    if info is None or not (info.width and info.height):
        raise UnreadableMedia("The project has no photo yet.", "Add a photo first.")
    width, height = frame_for((info.width, info.height), scene, settings).size
    return VideoShape(whole_windows_frames(min(_num_frames(scene, settings), settings.window)), height, width)


def _num_frames(scene: Scene, settings: RenderSettings) -> int:
    length_s = duration_s(scene)
    start_s, end_s = settings.range_s or (0.0, length_s)
    return num_frames(min(end_s, length_s) - start_s, settings.frame_rate)


def _num_moving(scene: Scene) -> int:
    members = [scene.member_of_face(face.id) for face in scene.faces]
    return sum(member is not None and member.part is not Part.STILL for member in members)


def _paces(scene: Scene, model: str, machine: Machine) -> list[float]:
    """How many times as long as estimated finished takes of ``model`` took. A document does not say where a take was
    made: this machine is taken for it unless the time is out of all proportion."""
    paces = [_pace(scene, take, machine) for take in scene.takes if _tells(take, model)]
    return [pace for pace in paces if pace is not None and PACE_LIMITS[0] < pace < PACE_LIMITS[1]]


def _tells(take: Take, model: str) -> bool:
    return take.status == "done" and take.compute_s > 0 and take.settings.model == model and model in NETWORKS


def _pace(scene: Scene, take: Take, machine: Machine) -> float | None:
    try:
        return take.compute_s / _estimate(scene, take.settings, machine).seconds
    except OutOfMemory:  # what is on the GPU now was not there then
        return None
