"""Captions: who says what, as SRT and VTT beside the take, or burnt into the picture."""

import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.analysis.types import Word
from engine.compositing.lettering import Label, Line, draw_lines, readable
from engine.project.atomic import write_bytes
from engine.project.document import Scene, Speaker, Turn

LINE_CHARACTERS = 42
LINES_PER_CUE = 2
_MIN_CUE_S = 0.5
_SILENT_JOIN_S = 1.0
"""Turns without words of one speaker that are closer than this become one cue: "[Anna speaks]" must not flicker."""

_SRT_LOOKALIKES = str.maketrans({"<": "‹", ">": "›", "{": "(", "}": ")"})
"""SRT has no way to escape, and players read <i> and {\\an8} as markup."""


@dataclass(frozen=True)
class Cue:
    """One caption: ``lines`` are plain text; times in seconds from the start of the video."""

    start_s: float
    end_s: float
    speaker_id: str
    speaker_name: str
    lines: tuple[str, ...]


def make_cues(
    turns: Sequence[Turn],
    speakers: Sequence[Speaker],
    range_s: tuple[float, float] | None = None,
    words: Mapping[str, Sequence[Word]] | None = None,
    line_characters: int = LINE_CHARACTERS,
) -> list[Cue]:
    """Cues in order of time, with the name at the start of every turn; two turns at once give two cues at once.

    ``range_s``: the rendered part of the recording; cues are cut to it and count from its start. ``words`` by turn
    id, where the recogniser gives times; a turn with text alone is spread evenly over its time, and one without text
    becomes "[Name speaks]". ``line_characters``: where lines are broken.
    """
    by_id = {speaker.id: speaker for speaker in speakers}
    cues: list[Cue] = []
    for turn in _without_flicker(turns):
        speaker = by_id.get(turn.speaker_id, Speaker(id=turn.speaker_id, name=turn.speaker_id))
        cues += _turn_cues(turn, speaker, (words or {}).get(turn.id, ()), line_characters)
    start_s, end_s = range_s or (0.0, float("inf"))
    cut = (replace(cue, start_s=max(cue.start_s, start_s), end_s=min(cue.end_s, end_s)) for cue in cues)
    shifted = (replace(cue, start_s=cue.start_s - start_s, end_s=cue.end_s - start_s) for cue in cut)
    return sorted((cue for cue in shifted if cue.end_s - cue.start_s > 0.04), key=lambda cue: (cue.start_s, cue.end_s))


def to_srt(cues: Iterable[Cue]) -> str:
    """The cues as SubRip text."""
    import srt

    return str(
        srt.compose(
            srt.Subtitle(
                None,
                timedelta(seconds=round(cue.start_s, 3)),
                timedelta(seconds=round(cue.end_s, 3)),
                "\n".join(cue.lines).translate(_SRT_LOOKALIKES),
            )
            for cue in cues
        )
    )


def to_vtt(cues: Iterable[Cue]) -> str:
    """The cues as WebVTT text, each with its voice tag."""
    blocks = ["WEBVTT\n"]
    for cue in cues:
        text = _vtt_escaped("\n".join(cue.lines))
        voice = _vtt_escaped(cue.speaker_name)
        blocks.append(f"{_vtt_time(cue.start_s)} --> {_vtt_time(cue.end_s)}\n<v {voice}>{text}</v>\n")
    return "\n".join(blocks)


def write_captions(video: Path, cues: Sequence[Cue]) -> tuple[Path, Path]:
    """Write captions beside ``video``, with its name: (srt, vtt). Raises WriteFailed."""
    srt_path, vtt_path = video.with_suffix(".srt"), video.with_suffix(".vtt")
    write_bytes(srt_path, to_srt(cues).encode())
    write_bytes(vtt_path, to_vtt(cues).encode())
    return srt_path, vtt_path


@dataclass(frozen=True)
class CaptionPlace:
    """Where burnt-in captions stand, as shares of the picture, and how large they are.

    ``letters`` of its shorter side; ``below``, of its height, is left free under them. ``line_characters``: how long
    lines may be at that size.
    """

    letters: float = 1 / 20
    below: float = 1 / 24
    line_characters: int = LINE_CHARACTERS

    @staticmethod
    def for_size(size: tuple[int, int]) -> "CaptionPlace":
        """For a picture of ``size`` (width, height): upright ones are seen on phones, small and under buttons."""
        width, height = size
        if width / height < 0.7:
            # Players of upright video draw their own text and buttons over the lowest sixth or so.
            return CaptionPlace(letters=1 / 17, below=0.19, line_characters=28)
        if width / height < 1.2:
            return CaptionPlace(letters=1 / 21, below=0.05, line_characters=34)
        return CaptionPlace()


class CaptionPainter:
    """Draws the captions of a moment into frames; ``colours`` ("#rrggbb") by speaker id."""

    def __init__(self, cues: Sequence[Cue], colours: Mapping[str, str], place: CaptionPlace | None = None) -> None:
        self._cues = list(cues)
        self._colours = {speaker_id: readable(colour) for speaker_id, colour in colours.items()}
        self._place = place or CaptionPlace()
        self._label = lru_cache(maxsize=8)(self._draw)

    def paint(self, rgb: NDArray[np.uint8], time_s: float) -> NDArray[np.uint8]:
        """The frame (height, width, 3) uint8 of ``time_s`` with its captions; the frame itself when there are none."""
        spoken = tuple(cue for cue in self._cues if cue.start_s <= time_s < cue.end_s)
        if not spoken:
            return rgb
        height, width = rgb.shape[:2]
        label = self._label(spoken, width, height)
        top = height - label.height - max(6, int(height * self._place.below))
        return label.blended(rgb, (width - label.width) // 2, top)

    def _draw(self, cues: tuple[Cue, ...], width: int, height: int) -> Label:
        size_px = max(12, round(min(width, height) * self._place.letters))
        lines = tuple(self._coloured(cue, index) for cue in cues for index in range(len(cue.lines)))
        return draw_lines(lines, size_px, round(width * 0.94))

    def _coloured(self, cue: Cue, index: int) -> Line:
        colour = self._colours.get(cue.speaker_id, (255, 255, 255))
        name, line = f"{cue.speaker_name}: ", cue.lines[index]
        if index == 0 and line.startswith(name):
            return ((name, colour), (line[len(name) :], (255, 255, 255)))
        return ((line, colour if line.startswith("[") else (255, 255, 255)),)


def speaker_colours(scene: Scene) -> dict[str, str]:
    """The colour of every speaker who has a face, by speaker id."""
    faces = {face.id: face.colour for face in scene.faces}
    return {
        member.speaker_id: faces[member.face_id]
        for member in scene.cast
        if member.speaker_id is not None and member.face_id in faces
    }


def _without_flicker(turns: Sequence[Turn]) -> list[Turn]:
    kept: list[Turn] = []
    last: dict[str, int] = {}
    for turn in sorted(turns, key=lambda turn: turn.start_s):
        before = kept[last[turn.speaker_id]] if turn.speaker_id in last else None
        wordless = before is not None and not _plain(turn.text) and not _plain(before.text)
        if before is not None and wordless and turn.start_s - before.end_s < _SILENT_JOIN_S:
            joined = before.model_copy(update={"end_s": max(before.end_s, turn.end_s)})
            kept[last[turn.speaker_id]] = joined
            continue
        last[turn.speaker_id] = len(kept)
        kept.append(turn)
    return kept


def _turn_cues(turn: Turn, speaker: Speaker, words: Sequence[Word], line_characters: int) -> list[Cue]:
    name = _plain(speaker.name) or "Someone"
    text = _plain(turn.text) or _plain(" ".join(word.text for word in words))
    if not text:
        return [Cue(turn.start_s, turn.end_s, speaker.id, name, (f"[{name} speaks]",))]
    # The name is put before wrapping, so that it counts in the width of its line.
    lines = textwrap.wrap(f"{name}: {text}", line_characters, break_long_words=True)
    groups = [tuple(lines[start : start + LINES_PER_CUE]) for start in range(0, len(lines), LINES_PER_CUE)]
    ends = _group_ends(groups, turn, words, len(name) + 2)
    starts = [turn.start_s, *ends[:-1]]
    return [Cue(start, end, speaker.id, name, group) for start, end, group in zip(starts, ends, groups, strict=True)]


def _group_ends(
    groups: Sequence[tuple[str, ...]], turn: Turn, words: Sequence[Word], name_characters: int
) -> list[float]:
    """When each group of lines is over: at its last word where words have times, by its share of letters otherwise."""
    letters = np.cumsum([sum(len(line) + 1 for line in group) for group in groups]) - name_characters
    shares = np.maximum(letters, 0) / max(int(letters[-1]), 1)
    if words:
        spoken = np.cumsum([len(word.text) + 1 for word in words])
        times = np.array([turn.start_s, *(word.end_s for word in words)])
        ends = np.interp(shares * spoken[-1], np.concatenate([[0], spoken]), times)
    else:
        ends = turn.start_s + shares * (turn.end_s - turn.start_s)
    ends = np.clip(ends, turn.start_s, turn.end_s)
    ends[-1] = turn.end_s
    if np.diff([turn.start_s, *ends]).min() < _MIN_CUE_S:
        # Word times that leave a cue no time to be read are worse than an even spread.
        ends = turn.start_s + np.arange(1, len(groups) + 1) / len(groups) * (turn.end_s - turn.start_s)
    return [float(end) for end in ends]


def _plain(text: str) -> str:
    """Without line breaks, control and direction-changing characters: none of them may reach a subtitle file."""
    kept = "".join(" " if unicodedata.category(letter) in ("Cc", "Zl", "Zp") else letter for letter in text)
    kept = "".join(letter for letter in kept if unicodedata.category(letter) not in ("Cs", "Cf") or letter == "\u200d")
    return " ".join(kept.split())


def _vtt_escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _vtt_time(time_s: float) -> str:
    milliseconds = round(time_s * 1000)
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}.{milliseconds:03d}"
