"""Small pieces of HTML. Every text that is not ours is escaped here; nobody else writes tags."""

from html import escape
from pathlib import Path
from urllib.parse import quote

from app import texts
from app.presenters.people import FaceRow, VoiceRow
from app.presenters.pictures import ink_on
from app.presenters.timeline import LaneTurn, lanes
from app.session import Notice
from app.work import WorkView
from engine.project.document import Scene, Take


def heading(number: int, text: str) -> str:
    return f'<h2 class="rt-step"><span class="rt-number" aria-hidden="true">{number}</span>{escape(text)}</h2>'


def masthead() -> str:
    mark = "".join(f'<i style="--n:{index}"></i>' for index in range(5))
    title = f'<h1><span class="rt-mark" aria-hidden="true">{mark}</span>{escape(texts.TITLE)}</h1>'
    return f'<header class="rt-masthead">{title}<p>{escape(texts.TAGLINE)}</p></header>'


def status(notice: Notice, folder: Path) -> str:
    """The status line: the newest sentence, or where things are kept."""
    if not notice.text:
        return f'<p class="rt-status" role="status">{escape(texts.SAVED.format(folder=folder.name))}</p>'
    remedy = f" <span>{escape(notice.remedy)}</span>" if notice.remedy else ""
    kind, role = ("rt-problem", "alert") if notice.is_problem else ("rt-fine", "status")
    return f'<p class="rt-status {kind}" role="{role}"><b>{escape(notice.text)}</b>{remedy}</p>'


def hint(text: str) -> str:
    return f'<p class="rt-hint">{escape(text)}</p>'


def sentence(text: str) -> str:
    return f'<p class="rt-sentence">{escape(text)}</p>' if text else ""


def what_is_there(text: str, present: bool) -> str:
    return f'<p class="rt-there{" rt-present" if present else ""}">{escape(text)}</p>'


def face_badge(row: FaceRow, picture: str) -> str:
    """The face's small picture with its number, in its colour."""
    colours = f"--c:{escape(row.face.colour)};--ink:{ink_on(row.face.colour)}"
    image = f'<img src="{picture}" alt="{escape(row.face.name)}" width="56" height="56">'
    return f'<figure class="rt-face" style="{colours}">{image}<b>{row.number}</b></figure>'


def voice_player(row: VoiceRow, voice_file: Path | None) -> str:
    """Colour, facts and a player that starts where this voice talks alone."""
    label = escape(texts.VOICE_PLAYER.format(voice=row.speaker.name))
    place = f'<span class="rt-place{" rt-off" if row.is_off_screen else ""}">{escape(row.place)}</span>'
    player = ""
    if voice_file:
        source = f"{file_url(voice_file)}#t={row.best_start_s:.2f}"
        player = f'<audio controls preload="none" src="{source}" aria-label="{label}" title="{label}"></audio>'
    facts = f'<p>{place} <span class="rt-quiet">{escape(row.talking)}</span></p>'
    return f'<div class="rt-voice" style="--c:{escape(row.colour)}">{facts}{player}</div>'


def progress(view: WorkView) -> str:
    """The running work in a sentence, with a bar."""
    step, parts = view.progress, [view.progress.text]
    if view.cancelling:
        parts = [texts.CANCELLING]
    elif step.stage == "render" and step.total:
        parts.append(texts.FRAME_OF.format(done=step.done, total=step.total))
        if view.left_s is not None and step.done > 10:
            parts.append(texts.TIME_LEFT.format(length=texts.seconds(max(1.0, view.left_s))))
    bar = f'value="{step.done}" max="{step.total}"' if step.total else ""
    said = escape(", ".join(parts))
    return f'<div class="rt-progress" role="status"><p>{said}</p><progress {bar} aria-label="{said}"></progress></div>'


def live_frame(picture: str) -> str:
    return f'<img class="rt-live" src="{picture}" alt="{escape(texts.LIVE_FRAME)}">'


def timeline(scene: Scene) -> str:
    """One lane per voice with its turns, in the colour of whoever speaks it."""
    rows = lanes(scene)
    if not rows:
        return ""
    alt = escape(texts.TIMELINE_ALT.format(lanes="; ".join(f"{lane.name}, {lane.summary}" for lane in rows)))
    drawn = []
    for lane in rows:
        turns = "".join(_turn(turn) for turn in lane.turns)
        drawn.append(
            f'<div class="rt-lane" style="--c:{escape(lane.colour)}"><span>{escape(lane.name)}</span>'
            f"<div>{turns}</div></div>"
        )
    return f'<div class="rt-timeline" role="img" aria-label="{alt}">{"".join(drawn)}</div>'


def _turn(turn: LaneTurn) -> str:
    over = ' class="rt-over"' if turn.overlapped else ""
    return f'<i style="left:{turn.left:.3f}%;width:{turn.width:.3f}%"{over}></i>'


def watch(store_folder: Path, take: Take) -> str:
    """A finished take: the player with its captions, and the downloads."""
    video = store_folder / take.video_path
    if not video.is_file():
        return sentence(texts.NOT_THERE)
    captions, lines = video.with_suffix(".vtt"), video.with_suffix(".srt")
    track = (
        f'<track kind="captions" srclang="en" label="Captions" src="{file_url(captions)}">'
        if captions.is_file()
        else ""
    )
    label = escape(take_title(take))
    source = f"{file_url(video)}#t=0.01"  # browsers then show the first frame instead of black
    player = f'<video controls playsinline preload="metadata" src="{source}" aria-label="{label}">{track}</video>'
    links = [f'<a href="{file_url(video)}" download>{escape(texts.DOWNLOAD_VIDEO)}</a>']
    if lines.is_file():
        links.append(f'<a href="{file_url(lines)}" download>{escape(texts.DOWNLOAD_CAPTIONS)}</a>')
    made = texts.COMPUTED_IN.format(length=texts.seconds(take.compute_s))
    return (
        f'<div class="rt-watch">{player}<p class="rt-links">{"".join(links)}'
        f'<span class="rt-quiet">{label}, {escape(made)}</span></p></div>'
    )


def take_title(take: Take) -> str:
    """ "Animatic of 22 Nov, 23:10, 9.6 s"."""
    made_at = take.made_at.astimezone().strftime("%d %b, %H:%M").lstrip("0")
    kind = texts.KINDS[take.settings.kind]
    if take.status != "done":
        return f"{kind} of {made_at}, {texts.TAKE_STATES[take.status]}"
    return texts.TAKE_VIDEO.format(kind=kind, made_at=made_at, length=texts.seconds(take.duration_s))


def file_url(path: Path) -> str:
    """Where the page's server gives out a file of the project; relative, so that it holds behind a proxy too."""
    return escape("gradio_api/file=" + quote(path.as_posix()))
