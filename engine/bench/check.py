"""How well the check finds faults: our animatics with faults put in on purpose, and sound videos beside them."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from engine.analysis.faces import default_analyser
from engine.bench import check_faults
from engine.bench.check_faults import Frame, Stretch
from engine.bench.check_scenes import TALKS, Base, Bench, voices_of, watched_in
from engine.errors import StudioError
from engine.evaluation.judge import judge
from engine.evaluation.report import Finding, TakeReport
from engine.evaluation.scene import Expected
from engine.evaluation.watching import KnownPerson, PersonCurves, Watched
from engine.jobs.check_video import CheckedVideo, VideoOrder, check_video
from engine.media.formats import H264
from engine.media.types import Image, Waveform
from engine.media.write import Encoding, VideoWriter

RATE = 25
DELAY_S = 0.120
PUBLISHED = ("videos", "anytalker_talk_11.mp4")


@dataclass(frozen=True)
class Outcome:
    """Whether a fault was found, and every finding that is not good."""

    found: bool
    raised: list[Finding]


# --- one case of each kind ---------------------------------------------------------------------------------------


def sound_animatic(bench: Bench, rng: np.random.Generator) -> Outcome:
    own, swapped = bench.pair(rng)
    base = own if rng.random() < 0.5 else swapped
    expected = base.expected if not base.swapped else _recast(base.expected)
    first, last = _part(rng, base.watched.num_frames, 4.0)
    return _judged(base.watched.between(first, last), expected.between(first / RATE, last / RATE))


def sound_again(bench: Bench, rng: np.random.Generator) -> Outcome:
    """A sound animatic that went through another encoder setting: followed anew from its first to its last frame."""
    base, _ = bench.pair(rng)
    first, last = _part(rng, base.watched.num_frames, 3.5, 4.5)
    watched = _encoded(rng, iter(base.frames(first, last)), base.known)
    return _judged(watched, base.expected.between(first / RATE, last / RATE))


def published(bench: Bench, rng: np.random.Generator) -> Outcome:
    """A part of AnyTalker's own output."""
    checked = _published(bench)
    rate = checked.watched.frame_rate
    first, last = _part(rng, checked.watched.num_frames, 4.0, rate=rate)
    return _judged(checked.watched.between(first, last), checked.expected.between(first / rate, last / rate))


def swapped_voices(bench: Bench, rng: np.random.Generator) -> Outcome:
    _, base = bench.pair(rng)
    first, last = _part(rng, base.watched.num_frames, 4.0)
    outcome = _judged(base.watched.between(first, last), base.expected.between(first / RATE, last / RATE))
    return _found(outcome, {"lip-sync", "wrong-mouth"})


def delayed(bench: Bench, rng: np.random.Generator) -> Outcome:
    """All voices 120 ms late or early, in an animatic or (one in four) in AnyTalker's own output."""
    late_s = DELAY_S if rng.random() < 0.5 else -DELAY_S
    if rng.random() < 0.25 and not bench.held_out:
        checked = _published(bench)
        watched, expected, rate = checked.watched, checked.expected, checked.watched.frame_rate
    else:
        base, _ = bench.pair(rng)
        watched, expected, rate = base.watched, base.expected, float(RATE)
    first, last = _part(rng, watched.num_frames, 4.0, rate=rate)
    voices = tuple(replace(voice, sound=_shifted(voice.sound, late_s)) for voice in expected.voices)
    part = replace(expected, voices=voices, sound=None).between(first / rate, last / rate)
    return _found(_judged(watched.between(first, last), part), {"delay"})


def driven_listener(bench: Bench, rng: np.random.Generator) -> Outcome:
    """While one speaks, the other's mouth moves to the same voice for one to three seconds."""
    while True:
        own, swapped = bench.pair(rng)
        turns = [(v, t) for v in own.expected.voices for t in v.turns if t.end_s - t.start_s > 2]
        if turns:
            break
    voice, turn = turns[int(rng.integers(len(turns)))]
    listener = next(person for person in own.known if person.face_id != voice.face_id)
    length_s = min(turn.end_s - turn.start_s - 0.6, rng.uniform(1.2, 3.0))
    start_s = rng.uniform(turn.start_s + 0.3, turn.end_s - 0.3 - length_s)
    first, last = _around(start_s, start_s + length_s, own.watched.num_frames)
    when = Stretch(round(start_s * RATE) - first, round((start_s + length_s) * RATE) - first)
    middles = sorted((person.box_px[0] + person.box_px[2]) / 2 for person in own.known)
    left = (listener.box_px[0] + listener.box_px[2]) / 2 == middles[0]
    frames, other = own.frames(first, last), swapped.frames(first, last)
    mixed = check_faults.half_taken(frames, other, round(sum(middles) / 2), left, when)
    watched = _with_others(_encoded(rng, mixed, [listener]), own.watched.between(first, last))
    outcome = _judged(watched, own.expected.between(first / RATE, last / RATE))
    return _found(outcome, {"silent-mouth", "wrong-mouth"})


def frozen_face(bench: Bench, rng: np.random.Generator) -> Outcome:
    base, person, (first, last), when = _somebody(bench, rng, 0.8, 2.4)
    frames = check_faults.frozen(base.frames(first, last), person.box_px, when)
    return _found(_one_person(rng, base, person, (first, last), frames), {"freeze"})


def replaced_face(bench: Bench, rng: np.random.Generator) -> Outcome:
    base, person, (first, last), when = _somebody(bench, rng, 1.5, 2.6)
    donor = bench.donor(rng, base.store.folder.name)
    frames = base.frames(first, last)
    mesher, points = default_analyser().mesher, [person.points_px]
    assert points[0] is not None
    for frame in frames:
        points.append(mesher.follow(Image(frame), points[-1]).points_px)  # type: ignore[arg-type]
    pasted = check_faults.replaced(frames, points[1:], donor, when)  # type: ignore[arg-type]
    return _found(_one_person(rng, base, person, (first, last), pasted), {"identity"})


def shifted_colours(bench: Bench, rng: np.random.Generator) -> Outcome:
    base, _, (first, last), when = _somebody(bench, rng, 1.2, 2.6)
    direction = rng.normal(size=3)
    shift = (direction / np.linalg.norm(direction) * rng.uniform(4.5, 10.0)).astype(np.float32)
    tinted = check_faults.tinted(base.frames(first, last), shift, when)
    watched = _encoded(rng, tinted, [])
    whole = base.watched.between(first, last)
    watched = replace(whole, colour=watched.colour, change=watched.change)
    return _found(_judged(watched, base.expected.between(first / RATE, last / RATE)), {"colour"})


FAULTS: dict[str, tuple[str, Callable[[Bench, np.random.Generator], Outcome]]] = {
    "voices swapped": ("lip-sync or wrong-mouth", swapped_voices),
    "voices 120 ms late or early": ("delay", delayed),
    "one listener driven": ("silent-mouth or wrong-mouth", driven_listener),
    "a face replaced": ("identity", replaced_face),
    "a window with shifted colours": ("colour", shifted_colours),
    "a frozen face": ("freeze", frozen_face),
}
SOUND: dict[str, Callable[[Bench, np.random.Generator], Outcome]] = {
    "animatics": sound_animatic,
    "animatics, encoded again": sound_again,
    "AnyTalker's own output": published,
}


# --- parts of cases ----------------------------------------------------------------------------------------------


def _recast(expected: Expected) -> Expected:
    """As the swapped take was really cast."""
    faces = [voice.face_id for voice in expected.voices]
    voices = zip(expected.voices, reversed(faces), strict=True)
    return replace(expected, voices=tuple(replace(voice, face_id=face) for voice, face in voices))


def _published(bench: Bench) -> CheckedVideo:
    if not hasattr(bench, "_checked"):
        *_, checked = check_video(VideoOrder(bench.media.joinpath(*PUBLISHED), voices_of(bench.media, 11)))
        bench._checked = checked  # type: ignore[attr-defined]
    return bench._checked  # type: ignore[attr-defined,no-any-return]


def _somebody(
    bench: Bench, rng: np.random.Generator, least_s: float, most_s: float
) -> tuple[Base, KnownPerson, tuple[int, int], Stretch]:
    """A base, one of its people, a part of it, and a stretch inside that part."""
    base, _ = bench.pair(rng)
    person = base.known[int(rng.integers(len(base.known)))]
    first, last = _part(rng, base.watched.num_frames, most_s + 0.7, most_s + 0.9)
    length = round(rng.uniform(least_s, most_s) * RATE)
    start = int(rng.integers(5, last - first - length - 2))
    return base, person, (first, last), Stretch(start, start + length)


def _part(
    rng: np.random.Generator, num_frames: int, least_s: float, most_s: float = 99.0, rate: float = RATE
) -> tuple[int, int]:
    length = min(num_frames, round(rng.uniform(least_s, min(most_s, max(least_s, num_frames / rate))) * rate))
    first = int(rng.integers(0, num_frames - length + 1))
    return first, first + length


def _around(start_s: float, end_s: float, num_frames: int) -> tuple[int, int]:
    first, last = max(0, round((start_s - 0.8) * RATE)), min(num_frames, round((end_s + 0.8) * RATE))
    return first, max(last, min(num_frames, first + 60))


def _encoded(rng: np.random.Generator, frames: Iterator[Frame], known: Sequence[KnownPerson]) -> Watched:
    """What is seen of the frames after they went through a file, of this quality or that."""
    first = next(frames)
    quality = ("-preset", "veryfast", "-crf", str(rng.integers(16, 27)), "-profile:v", "high")
    encoding = Encoding(format=replace(H264, video_arguments=quality))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "case.mp4"
        with VideoWriter(path, (first.shape[1], first.shape[0]), RATE, None, encoding) as writer:
            writer.write(first)
            for frame in frames:
                writer.write(frame)
        return watched_in(path, known)


def _one_person(
    rng: np.random.Generator, base: Base, person: KnownPerson, part: tuple[int, int], frames: Iterator[Frame]
) -> Outcome:
    """Only this person's pixels were touched: the others' curves are those of the untouched video."""
    watched = _with_others(_encoded(rng, frames, [person]), base.watched.between(*part))
    return _judged(watched, base.expected.between(part[0] / RATE, part[1] / RATE))


def _with_others(one: Watched, whole: Watched) -> Watched:
    def of(person: PersonCurves) -> PersonCurves:
        return next((new for new in one.people if new.face_id == person.face_id), person)

    return replace(whole, people=[of(person) for person in whole.people], colour=one.colour, change=one.change)


def _shifted(sound: Waveform, late_s: float) -> Waveform:
    moved = np.zeros_like(sound.samples)
    by = round(abs(late_s) * sound.sample_rate)
    if late_s > 0:
        moved[by:] = sound.samples[:-by]
    else:
        moved[:-by] = sound.samples[by:]
    return Waveform(moved, sound.sample_rate)


def _judged(watched: Watched, expected: Expected) -> Outcome:
    report: TakeReport = judge(watched, expected)
    raised = [finding for finding in report.every_finding() if finding.verdict in ("look", "redo")]
    return Outcome(bool(raised), raised)


def _found(outcome: Outcome, kinds: set[str]) -> Outcome:
    return replace(outcome, found=any(finding.kind in kinds for finding in outcome.raised))


# --- the table ---------------------------------------------------------------------------------------------------


def run_cases(
    bench: Bench, case: Callable[[Bench, np.random.Generator], Outcome], num_cases: int, seed: int
) -> Iterator[Outcome]:
    for number in range(num_cases):
        yield case(bench, np.random.default_rng([seed, number]))


def bench_check(media: Path, folder: Path, num_cases: int, held_out: bool = False) -> None:
    """Prints the table of hits and false alarms; ``held_out``: on scenes by which no threshold was set.

    Raises StudioError where the media are not there.
    """
    if not (media / "photos").is_dir() or not (media / "dialogues").is_dir():
        raise StudioError(f"{media} has no photos/ and dialogues/.", "Give the folder of test media with --media.")
    bench = Bench(media, folder, held_out=held_out)
    if held_out:
        bench.prepare_held_out()
    else:
        bench.prepare(TALKS)
    print("| fault | looked for | found |\n|---|---|---|", flush=True)
    for seed, (name, (kinds, case)) in enumerate(FAULTS.items(), start=1):
        outcomes = list(run_cases(bench, case, num_cases, seed))
        missed = [str(number) for number, outcome in enumerate(outcomes) if not outcome.found]
        share = f"{len(outcomes) - len(missed)} of {len(outcomes)}"
        print(f"| {name} | {kinds} | {share}{' (missed: ' + ', '.join(missed) + ')' if missed else ''} |", flush=True)
    print("\n| sound videos | false alarms | of which |\n|---|---|---|", flush=True)
    for seed, (name, case) in enumerate(SOUND.items(), start=101):
        if case is published and (held_out or not media.joinpath(*PUBLISHED).exists()):
            continue
        outcomes = list(run_cases(bench, case, num_cases, seed))
        alarms = [f"{f.kind} {f.value}" for outcome in outcomes for f in outcome.raised]
        print(
            f"| {name} | {sum(o.found for o in outcomes)} of {len(outcomes)} | {', '.join(alarms) or '-'} |", flush=True
        )
