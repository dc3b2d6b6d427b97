"""RTTM, the plain text format for who speaks when: one line per turn, ten fields.

Fields are split at white space, so a name's spaces are written as percent escapes ("Ann%20Lee") and read back.
"""

import math
import re
from pathlib import Path
from urllib.parse import quote, unquote

from engine.analysis.diarization import mark_overlaps
from engine.analysis.types import Diarization
from engine.errors import UnreadableMedia, WriteFailed
from engine.project.document import Speaker, Turn

MOST_BYTES = 20_000_000
MOST_TURNS = 100_000
MOST_SECONDS = 24 * 3600
REMEDY = "An RTTM line reads: SPEAKER name 1 start-seconds duration-seconds <NA> <NA> speaker <NA> <NA>"


def _escaped(name: str) -> str:
    """``name`` without white space; letters of every alphabet stay readable."""
    escaped = re.sub(r"[\s%\x00-\x1f\x7f]", lambda found: quote(found[0], safe=""), name)
    return escaped or "unnamed"


def write_rttm(diarization: Diarization, path: Path, uri: str) -> None:
    """Writes the turns under the recording's name ``uri``; speakers by name. Raises WriteFailed."""
    names = {speaker.id: _escaped(speaker.name) for speaker in diarization.speakers}
    if len(set(names.values())) < len(names):
        names = {speaker.id: _escaped(f"{speaker.name} ({speaker.id})") for speaker in diarization.speakers}
    lines = [
        f"SPEAKER {_escaped(uri)} 1 {turn.start_s:.3f} {turn.end_s - turn.start_s:.3f}"
        f" <NA> <NA> {names[turn.speaker_id]} <NA> <NA>\n"
        for turn in diarization.turns
    ]
    path = Path(path)
    unfinished = path.with_name(path.name + ".part")
    try:
        unfinished.write_text("".join(lines), encoding="utf-8", newline="\n")
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise WriteFailed(f"{path.name} could not be written ({error.strerror}).", "Choose another folder.") from error


def read_rttm(path: Path) -> Diarization:
    """Speakers in order of first speech, turns sorted. Raises UnreadableMedia with the line that is wrong."""
    path = Path(path)
    turns: list[tuple[float, float, str]] = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        fields = line.split()
        if not fields or fields[0].startswith(";") or fields[0] != "SPEAKER":
            continue
        turns.append(_turn(fields, f"Line {number} of {path.name}"))
        if len(turns) > MOST_TURNS:
            raise UnreadableMedia(f"{path.name} holds more than {MOST_TURNS} turns.", "Use one recording's turns.")
    if not turns:
        raise UnreadableMedia(f"{path.name} holds no speaker turns.", REMEDY)
    return _diarization(sorted(turns))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UnreadableMedia(f"{path.name} is too large for an RTTM file.", REMEDY)
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableMedia(f"{path.name} is not a text file.", REMEDY) from error
    except OSError as error:
        raise UnreadableMedia(f"{path.name} cannot be read ({error.strerror}).", "Check the file's name.") from error


def _turn(fields: list[str], where: str) -> tuple[float, float, str]:
    try:
        start_s, duration_s, name = float(fields[3]), float(fields[4]), unquote(fields[7])
    except (IndexError, ValueError) as error:
        raise UnreadableMedia(f"{where} is not a speaker turn.", REMEDY) from error
    fits = math.isfinite(start_s) and math.isfinite(duration_s)
    if not (fits and start_s >= 0 and duration_s > 0 and start_s + duration_s <= MOST_SECONDS):
        raise UnreadableMedia(f"{where} has a start or duration that no recording can have.", REMEDY)
    return start_s, start_s + duration_s, name


def _diarization(spans: list[tuple[float, float, str]]) -> Diarization:
    """A speaker's own overlapping lines are joined, as everywhere else in the program."""
    speakers: dict[str, Speaker] = {}
    turns: dict[str, list[Turn]] = {}
    for start_s, end_s, name in spans:
        number = len(speakers) + 1
        speaker = speakers.setdefault(name, Speaker(id=f"speaker-{number}", name=name))
        own = turns.setdefault(speaker.id, [])
        if own and start_s < own[-1].end_s:
            own[-1].end_s = max(own[-1].end_s, end_s)
        else:
            own.append(Turn(speaker_id=speaker.id, start_s=start_s, end_s=end_s))
    every = [turn for own in turns.values() for turn in own]
    return Diarization(list(speakers.values()), mark_overlaps(every))
