"""The command line: the same work as the page, for scripts and for people who like it."""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from engine.bench.commands import bench_app
from engine.check_cli import check_app
from engine.dit.catalogue import MODELS, TINY
from engine.errors import StudioError
from engine.export_cli import export_app
from engine.jobs.events import RenderEvent, StageProgress, TakeDone
from engine.project.document import Project, RenderSettings, TakeKind
from engine.training.data_commands import data_app
from engine.training.train_commands import train_app

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, rich_markup_mode=None, help=__doc__
)
models_app = typer.Typer(rich_markup_mode=None, help="The networks of previews and finals: list them, fetch them.")
app.add_typer(models_app, name="models")
app.add_typer(bench_app, name="bench")
app.add_typer(data_app, name="data")
app.add_typer(train_app)
app.add_typer(export_app)
app.add_typer(check_app)
console = Console(stderr=True)

PRESETS = "animatic, preview, final, low_memory, or a preset of yours."
MODEL = f"Another network than the preset's: one of {', '.join(MODELS)}; tiny is here already."
LORA = "Low-rank adapters over the network: a file, or one of `models`'s."
ProjectFolder = Annotated[Path, typer.Argument(help="Folder of the project.", metavar="PROJECT")]


def show(events: Iterator[RenderEvent]) -> TakeDone | None:
    """Draw the progress of ``events`` on the terminal; the finished take, if one comes."""
    done: TakeDone | None = None
    bar = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console
    )
    # Closed here and now: a render that is stopped must say so in the project while the project is still held.
    with bar, closing(events):  # type: ignore[type-var]
        task = bar.add_task("Starting", total=None)
        for event in events:
            if isinstance(event, StageProgress):
                bar.update(task, description=event.text, total=event.total or None, completed=event.done)
            elif isinstance(event, TakeDone):
                done = event
    return done


@app.command()
def new(
    folder: ProjectFolder,
    photo: Annotated[Path, typer.Option(help="The group photo.")],
    dialogue: Annotated[Path | None, typer.Option(help="One recording of everybody (or a video).")] = None,
    voice: Annotated[list[str] | None, typer.Option(help="NAME=FILE, once per person.", metavar="NAME=FILE")] = None,
    speakers: Annotated[int | None, typer.Option(help="How many people speak, if you know.", min=1, max=20)] = None,
) -> None:
    """Make a project: copy the media in, find faces and voices, suggest a cast, save."""
    from engine.jobs.analyse import add_dialogue, add_photo, add_voices, analyse
    from engine.project.store import ProjectStore

    if bool(dialogue) == bool(voice):
        raise StudioError("A project needs --dialogue, or --voice for each person.", "Give one of the two.")
    named = [_named(entry) for entry in voice or []]
    before, ours = set(folder.iterdir()) if folder.is_dir() else None, False
    try:
        with ProjectStore.create(folder, folder.name) as store:
            ours = True
            project = store.load()
            add_photo(store, project, photo)
            if dialogue:
                add_dialogue(store, project, dialogue)
            else:
                add_voices(store, project, named)
            show(analyse(store, project, speakers))
    except BaseException:
        if ours or before is None:
            _remove_new(folder, before)
        raise
    _tell_plan(project)
    typer.echo(f"Saved in {folder}. Next: render {folder}")


def _remove_new(folder: Path, before: set[Path] | None) -> None:
    """Leave ``folder`` as it was: without what is not in ``before``; without itself where that is None."""
    if before is None:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for path in set(folder.iterdir()) - before:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _named(entry: str) -> tuple[str, Path]:
    name, separator, path = entry.partition("=")
    if not (name and separator and path):
        raise StudioError(f"--voice {entry} is not NAME=FILE.", 'Write it like --voice "Ada=ada.wav".')
    return name, Path(path)


def _tell_plan(project: Project) -> None:
    from engine.cast.suggest import describe
    from engine.cast.timeline import talking_s

    scene = project.scene
    names = {speaker.id: speaker.name for speaker in scene.speakers}
    for member in scene.cast:
        face = next((face.name for face in scene.faces if face.id == member.face_id), "off-screen")
        heard = f" · {names[member.speaker_id]}" if member.speaker_id else ""
        seconds = talking_s(scene.turns).get(member.speaker_id or "", 0.0)
        typer.echo(f"  {face}: {member.part}{heard}" + (f", {seconds:.1f} s" if heard else ""))
    typer.echo(describe(scene))


@app.command()
def faces(
    photo: Annotated[Path, typer.Argument(help="A photo.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find the faces of a photo."""
    from engine.analysis.faces import default_analyser, detect_faces
    from engine.media.read import load_image

    analyser = default_analyser()
    found = detect_faces(load_image(photo), analyser).faces
    if as_json:
        rows = [face.model_dump(mode="json", include={"id", "box_px", "landmarks_px", "score"}) for face in found]
        typer.echo(json.dumps({"detector": analyser.name, "faces": rows}, indent=2))
        return
    for face in found:
        x0, y0, x1, y1 = (round(value) for value in face.box_px)
        typer.echo(f"{face.name}: {x1 - x0} × {y1 - y0} px at {x0}, {y0} (score {face.score:.2f})")
    typer.echo(f"{len(found)} found with {analyser.name}.")


@app.command()
def diarize(
    audio: Annotated[Path, typer.Argument(help="A recording, or a video with sound.")],
    out: Annotated[Path, typer.Option(help="Where to write the turns (RTTM).")],
    voices: Annotated[Path | None, typer.Option(help="Folder for one wav per speaker.")] = None,
    speakers: Annotated[int | None, typer.Option(help="How many people speak, if you know.", min=1, max=20)] = None,
) -> None:
    """Say who speaks when."""
    from engine.analysis import diarization, separation
    from engine.analysis.rttm import write_rttm
    from engine.cast.streams import VOICE_SAMPLE_RATE
    from engine.cast.timeline import talking_s
    from engine.media.read import load_waveform
    from engine.media.write import write_waveform

    with console.status("Listening who speaks when"):
        sound = load_waveform(audio, VOICE_SAMPLE_RATE)
        found = diarization.diarize(sound, num_speakers=speakers)
    write_rttm(found, out, audio.stem)
    for speaker in found.speakers:
        typer.echo(f"{speaker.name}: {talking_s(found.turns)[speaker.id]:.1f} s")
    typer.echo(f"{len(found.speakers)} voices, {len(found.turns)} turns in {out}")
    if voices:
        voices.mkdir(parents=True, exist_ok=True)
        for speaker_id, voice in separation.separate(sound, found).items():
            write_waveform(voices / f"{speaker_id}.wav", voice)


@app.command()
def render(  # noqa: PLR0913  each is an option of the command
    folder: ProjectFolder,
    preset: Annotated[str, typer.Option(help=PRESETS)] = TakeKind.ANIMATIC,
    out: Annotated[Path | None, typer.Option(help="Copy the finished video here.")] = None,
    range_: Annotated[
        str | None, typer.Option("--range", help="Part of the recording, seconds.", metavar="A:B")
    ] = None,
    model: Annotated[str | None, typer.Option(help=MODEL)] = None,
    lora: Annotated[str | None, typer.Option(help=LORA)] = None,
    gpus: Annotated[int, typer.Option(help="Share a preview's or final's work among so many GPUs.", min=1)] = 1,
) -> None:
    """Render a project into a new take."""
    from engine.jobs.render_scene import export, render_take
    from engine.project.presets import settings_for
    from engine.project.store import ProjectStore

    if out and out.suffix.lower() != ".mp4":
        raise StudioError(f"--out {out} is not the name of an mp4.", f"Write it like --out {out.with_suffix('.mp4')}")
    with ProjectStore.open(folder) as store:
        project, remarks = store.recover(store.load())
        for remark in remarks:
            console.print(remark)
        settings = _with_network(settings_for(preset, project.scene.settings), model, lora)
        settings.range_s = _range(range_) or settings.range_s
        done = show(render_take(store, project, settings, gpus))
        assert done is not None
        if project.scene.takes[-1].message:
            console.print(project.scene.takes[-1].message)
        written = export(done.video_path, out) if out else [done.video_path]
    for path in written:
        typer.echo(str(path))


def _with_network(settings: RenderSettings, model: str | None, lora: str | None) -> RenderSettings:
    """Another network than the preset's, or adapters; whether they are here is asked later. Raises StudioError."""
    changes = {name: value for name, value in (("model", model), ("lora", lora)) if value is not None}
    if changes and settings.kind is TakeKind.ANIMATIC:
        raise StudioError("An animatic has no network to choose.", "Add --preset preview or --preset final.")
    changed = settings.model_copy(update=changes)
    if lora and changed.model == TINY:
        raise StudioError("The small network takes no adapters.", "Leave --lora out, or --model tiny.")
    return changed


def _range(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        start_s, end_s = (float(part) for part in text.split(":"))
    except ValueError:
        raise StudioError(f"--range {text} is not A:B in seconds.", "Write it like --range 2.5:8") from None
    if not 0 <= start_s < end_s:
        raise StudioError(f"--range {text} does not go forward.", "Write the start first, like --range 2.5:8")
    return start_s, end_s


@app.command()
def plan(
    folder: ProjectFolder,
    preset: Annotated[str, typer.Option(help=PRESETS)] = TakeKind.FINAL,
    range_: Annotated[
        str | None, typer.Option("--range", help="Part of the recording, seconds.", metavar="A:B")
    ] = None,
    model: Annotated[str | None, typer.Option(help=MODEL)] = None,
    lora: Annotated[str | None, typer.Option(help=LORA)] = None,
    vram: Annotated[float | None, typer.Option(help="Plan for a GPU of so many GB instead of this machine's.")] = None,
) -> None:
    """Say what a preview or final will take here: memory, time, and what is missing."""
    from engine.dit.machine import this_machine
    from engine.jobs.plan_render import plan_for
    from engine.project.presets import settings_for
    from engine.project.store import ProjectStore

    if vram is not None and vram <= 0:
        raise StudioError(f"--vram {vram:g} is no GPU.", "Write it like --vram 12")
    with ProjectStore.open(folder) as store:
        scene = store.load().scene
    settings = _with_network(settings_for(preset, scene.settings), model, lora)
    if settings.kind is TakeKind.ANIMATIC:
        raise StudioError("An animatic needs no plan.", "It renders on any computer: leave --preset out for a final's.")
    settings.range_s = _range(range_) or settings.range_s
    machine = this_machine().with_vram(vram) if vram else None
    for line in plan_for(scene, settings, machine).sentences:
        typer.echo(line)


@models_app.callback(invoke_without_command=True)
def models(context: typer.Context) -> None:
    """List the networks of previews and finals: what is here, what is missing, and its size."""
    if context.invoked_subcommand:
        return
    from engine.jobs.models import list_models

    for row in list_models():
        typer.echo(f"{row.name}: {row.state_text}, {row.size_text}. {row.what_for}. {row.licence_text}.")
    typer.echo("`models get NAME` fetches one, `models get NAME --from FOLDER` takes it from a folder.")


@models_app.command("get")
def models_get(
    name: Annotated[str, typer.Argument(help="As `models` lists it.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="A folder that has the files already.", metavar="FOLDER")
    ] = None,
) -> None:
    """Bring a network here: fetched, resumed and checked, or taken from a folder."""
    from engine.jobs.models import get_model

    show(get_model(name, source))
    typer.echo(f"{name} is here.")


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where to put the demo project.")] = Path("demo"),
    range_: Annotated[
        str | None, typer.Option("--range", help="Part of the recording, seconds.", metavar="A:B")
    ] = None,
) -> None:
    """Make a finished talking video from a picture and a conversation that come with the packages."""
    from engine.jobs.demo_project import DEMO_HEIGHT_PX, demo_store, fill_with_sample, spoken_range_s
    from engine.jobs.render_scene import export, render_take
    from engine.project.presets import load_preset

    with demo_store(folder) as store:
        project = store.load()
        show(fill_with_sample(store, project))
        _tell_plan(project)
        settings = load_preset("animatic").settings
        settings.height = DEMO_HEIGHT_PX
        settings.range_s = _range(range_) or spoken_range_s(project.scene)
        done = show(render_take(store, project, settings))
        assert done is not None
        written = export(done.video_path, folder / "roundtable-demo.mp4")
    typer.echo(f"Done: {written[0]}")


@app.command()
def messages() -> None:
    """List every message that Roundtable can give: what happened, and what to do."""
    from engine.messages import all_messages, listed

    for line in listed(all_messages()):
        typer.echo(line)


def main() -> None:
    try:
        app()
    except StudioError as error:
        console.print(f"[bold red]{error.message}[/]", highlight=False)
        if error.remedy:
            console.print(error.remedy, highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("Stopped.")
        sys.exit(130)
