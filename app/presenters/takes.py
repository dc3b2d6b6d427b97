"""Renders and finished takes as the page's web components take them."""

from pathlib import Path
from typing import Any

from app import texts
from app.presenters.board import address, length_s
from app.presenters.people import NO_COLOUR
from app.session import OpenProject
from engine.jobs.job_view import JobView
from engine.project.document import Project, RenderSettings, Scene, Take, TakeKind

Plain = dict[str, Any]

ENDED = ("done", "failed", "cancelled", "interrupted")
_CAN = {
    "waiting": ["earlier_job", "later_job", "cancel_job", "duplicate_job"],
    "running": ["pause_job", "keep_job", "cancel_job", "duplicate_job"],
    "paused": ["resume_job", "keep_job", "cancel_job"],
    "stopping": [],
    "done": ["duplicate_job", "remove_job"],
    "failed": ["duplicate_job", "remove_job"],
    "cancelled": ["duplicate_job", "remove_job"],
    "interrupted": ["duplicate_job", "remove_job"],
}


def queue(jobs: list[JobView], held: bool) -> Plain:
    """What <rt-queue> shows."""
    return {"held": held, "jobs": [_job(job) for job in jobs]}


def takes(open_project: OpenProject, project: Project) -> Plain:
    """What <rt-takes> shows: the finished takes, the newest first."""
    done = [take for take in reversed(project.scene.takes) if take.status == "done"]
    return {"project": open_project.folder.name, "takes": [_take(open_project, project.scene, take) for take in done]}


def take_title(take: Take) -> str:
    """ "Animatic of 22 Nov, 23:10, 9.6 s"."""
    made_at = take.made_at.astimezone().strftime("%d %b, %H:%M").lstrip("0")
    return texts.TAKE_VIDEO.format(
        kind=texts.KINDS[take.settings.kind], made_at=made_at, length=texts.seconds(take.duration_s)
    )


def _job(job: JobView) -> Plain:
    running = job.status not in ENDED and job.status != "waiting"
    name = job.project_folder.name
    said = " ".join(part for part in (job.message, job.remedy) if part)
    # One stamp of the file, so that the picture is fetched again only when there is a newer one.
    return {
        "id": job.id,
        "title": f"{texts.KINDS[job.kind]} · {job.title or name}",
        "status": job.status,
        "text": _job_text(job, running),
        "done": job.progress.done if running else 0,
        "total": job.progress.total if running else 0,
        "message": "" if job.status == "cancelled" else said,
        "frame": _stamped(name, job.take_id, "frame", job.frame),
        "growing": _stamped(name, job.take_id, "growing", job.growing),
        "can": _CAN[job.status],
    }


def _job_text(job: JobView, running: bool) -> str:
    if not running:
        return texts.JOB_STATES[job.status]
    parts = [texts.JOB_STATES[job.status]] if job.status != "running" else []
    parts.append(job.progress.text)
    if job.progress.stage == "render" and job.progress.total and job.kind is TakeKind.ANIMATIC:
        parts.append(texts.FRAME_OF.format(done=job.progress.done, total=job.progress.total))
    if job.left_s is not None and job.status == "running":
        parts.append(texts.TIME_LEFT.format(length=texts.seconds(max(1.0, job.left_s))))
    return " · ".join(part for part in parts if part)


def _stamped(project: str, take_id: str, what: str, path: Path | None) -> str:
    try:
        return address(project, f"take/{take_id}/{what}", path.stat().st_mtime_ns) if path else ""
    except OSError:  # renewed this very moment
        return ""


def _take(open_project: OpenProject, scene: Scene, take: Take) -> Plain:
    name, folder = open_project.folder.name, open_project.store.takes_folder / take.id
    offset = (take.settings.range_s or (0.0, 0.0))[0]
    report = take.report if isinstance(take.report.get("turns"), list) else {}
    there = (folder / "video.mp4").is_file()

    def file(what: str, filename: str, save: bool = False) -> str:
        if not (folder / filename).is_file():
            return ""
        return address(name, f"take/{take.id}/{what}") + ("?save=1" if save else "")

    return {
        "id": take.id,
        "title": take_title(take),
        "details": _details(take),
        "length": max(take.duration_s, 0.1),
        "video": file("video", "video.mp4"),
        "captions": file("vtt", "video.vtt"),
        "download": file("video", "video.mp4", save=True),
        "srt": file("srt", "video.srt", save=True),
        "report": file("report", "report.html"),
        "verdict": str(report.get("verdict", "")),
        "sentence": str(report.get("sentence", "")),
        "people": [_person(scene, person) for person in report.get("people", [])],
        "turns": [_turn(scene, turn, offset) for turn in report.get("turns", [])],
        "can_redo": there and scene.photo is not None,
    }


def _person(scene: Scene, person: Plain) -> Plain:
    face = next((face for face in scene.faces if face.id == person["face_id"]), None)
    return {
        "face_id": person["face_id"],
        "name": face.name if face else person.get("name", ""),
        "colour": face.colour if face else NO_COLOUR,
        "verdict": person["verdict"],
        "sentence": _worst(person["findings"], person["verdict"]),
    }


def _turn(scene: Scene, turn: Plain, offset: float) -> Plain:
    names = {speaker.id: speaker.name for speaker in scene.speakers}
    return {
        "id": turn["turn_id"],
        "face_id": turn["face_id"],
        "name": names.get(turn["speaker_id"], ""),
        "start": round(turn["start_s"] - offset, 3),
        "end": round(turn["end_s"] - offset, 3),
        "verdict": turn["verdict"],
        "sentence": _worst(turn["findings"], turn["verdict"]) or texts.GOOD_TURN,
    }


def _worst(findings: list[Plain], verdict: str) -> str:
    """What led to the verdict, in its own words; nothing where all is well."""
    if verdict == "good":
        return ""
    return next((finding["sentence"] for finding in findings if finding["verdict"] == verdict), "")


def _details(take: Take) -> str:
    settings = take.settings
    parts = [texts.COMPUTED_IN.format(length=texts.seconds(take.compute_s)), texts.SEED_OF.format(seed=settings.seed)]
    if settings.kind is not TakeKind.ANIMATIC:
        parts[1:1] = [settings.model, texts.STEPS_OF.format(steps=settings.num_inference_steps)]
    if take.redo_of and take.redo_range_s:
        parts.append(texts.REDONE_FROM.format(start=texts.seconds(take.redo_range_s[0])))
    if take.message:
        parts.append(take.message)
    return " · ".join(parts)


def render_title(settings: RenderSettings, scene: Scene) -> str:
    """What a render is called in the queue: which part of the conversation it shows."""
    start_s, end_s = settings.range_s or (0.0, length_s(scene))
    return f"{texts.seconds(start_s)} – {texts.seconds(end_s)}"
