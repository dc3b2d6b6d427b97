"""A report as one page that opens anywhere: verdicts in words, curves over the voices, worst frames as pictures."""

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.evaluation import plots
from engine.evaluation.lip_sync import loudness
from engine.evaluation.report import Finding, PersonReport, TakeReport, Verdict
from engine.evaluation.scene import Expected
from engine.evaluation.video import VideoFacts, frames_of
from engine.evaluation.watching import PersonCurves, Watched
from engine.project.atomic import write_bytes

MAX_PICTURES = 8
PICTURE_PX = 300
SAYS: dict[Verdict, str] = {"good": "good", "look": "worth a look", "redo": "do it again", "unknown": "not judged"}
KINDS = {
    "lip-sync": "Lips and voice", "delay": "Delay", "wrong-mouth": "Wrong mouth", "silent-mouth": "Silent mouth",
    "closure": "Lips on p, b, m", "face-lost": "Face seen", "identity": "Same person", "freeze": "Frozen",
    "colour": "Colours", "seam": "Seams", "outside": "Outside the faces", "sound": "Sound", "length": "Length",
    "faces": "Faces", "turns": "Turns", "file": "File", "syncnet": "SyncNet",
}  # fmt: skip
UNITS = {
    "delay": " ms", "freeze": " s", "length": " s", "lip-sync": "", "identity": " away", "colour": " ΔE",
}  # fmt: skip

_STYLE = """
:root{--ink:#1d2129;--soft:#667085;--line:#e4e7ec;--good:#2e7d32;--look:#b26a00;--redo:#c62828;--unknown:#667085}
*{box-sizing:border-box}body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);margin:0;background:#f6f7f9}
main{max-width:1040px;margin:0 auto;padding:24px}h1{font-size:22px;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:17px;margin:0;overflow-wrap:anywhere}
section{background:#fff;border:1px solid var(--line);border-radius:10px;padding:16px 20px;margin:16px 0}
.head{display:flex;gap:12px;align-items:baseline;margin-bottom:8px}
.mark{border-radius:999px;padding:1px 10px;font-size:13px;color:#fff;white-space:nowrap}
.mark.good{background:var(--good)}.mark.look{background:var(--look)}.mark.redo{background:var(--redo)}
.mark.unknown{background:var(--unknown)}p{margin:4px 0}.soft,td.soft{color:var(--soft)}
table{border-collapse:collapse;width:100%;margin-top:8px}td{padding:4px 8px 4px 0;vertical-align:top;
border-top:1px solid var(--line);overflow-wrap:anywhere}td.number{text-align:right;white-space:nowrap}
svg{width:100%;height:auto;display:block;margin-top:8px}.voice{fill:#b9c8de}.turn{fill:#eef3fb}
.mouth{fill:none;stroke:#c2185b;stroke-width:1.4}.identity{fill:none;stroke:#5e35b1;stroke-width:1.4}
.limit{stroke:var(--redo);stroke-dasharray:4 4;stroke-width:1}.look-bar{fill:#ffb74d;opacity:.35}
.redo-bar{fill:#ef5350;opacity:.3}.tick{font-size:11px;fill:#667085}.label{font-size:12px;fill:#667085}
.pictures{display:flex;flex-wrap:wrap;gap:12px;margin-top:8px}figure{margin:0;width:300px}
img{width:100%;border-radius:6px;display:block}figcaption{font-size:13px;color:var(--soft);overflow-wrap:anywhere}
"""


@dataclass(frozen=True)
class Picture:
    jpeg: bytes
    words: str


def write_page(path: Path, title: str, report: TakeReport, seen: tuple[Watched, Expected, VideoFacts]) -> None:
    """One HTML file with everything in it. ``title`` and all names are text, whatever they hold. Raises WriteFailed."""
    watched, expected, facts = seen
    pictures = list(_worst_pictures(report, watched, expected, facts))
    parts = [_top(title, report), _whole(report, pictures), *_people(report, watched, expected)]
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><main>{''.join(parts)}</main></body></html>"
    )
    write_bytes(path, page.encode("utf-8", "replace"))


def _mark(verdict: Verdict) -> str:
    return f'<span class="mark {verdict}">{SAYS[verdict]}</span>'


def _top(title: str, report: TakeReport) -> str:
    made = f"Measured with {report.measured_by} in {report.seconds:.1f} s."
    return (
        f"<h1>{escape(title)}</h1><p>{_mark(report.verdict)} {escape(report.sentence)}</p>"
        f'<p class="soft">{escape(made)}</p>'
    )


def _rows(findings: Iterable[Finding]) -> str:
    return "<table>" + "".join(_row(finding) for finding in findings) + "</table>"


def _row(finding: Finding) -> str:
    unit = UNITS.get(finding.kind, "")
    value = "" if finding.value is None else f"{finding.value:g}{unit}"
    threshold = "" if finding.threshold is None else f"limit {finding.threshold:g}"
    when = "" if finding.start_s is None or finding.verdict in ("good", "unknown") else f"{finding.start_s:.1f} s"
    return (
        f"<tr><td>{_mark(finding.verdict)}</td><td>{escape(KINDS.get(finding.kind, finding.kind))}</td>"
        f'<td>{escape(finding.sentence)}</td><td class="soft">{when}</td>'
        f'<td class="number">{value}</td><td class="number soft">{threshold}</td></tr>'
    )


def _whole(report: TakeReport, pictures: list[Picture]) -> str:
    figures = "".join(
        f'<figure><img alt="" src="data:image/jpeg;base64,{base64.b64encode(picture.jpeg).decode()}">'
        f"<figcaption>{escape(picture.words)}</figcaption></figure>"
        for picture in pictures
    )
    shown = f'<div class="pictures">{figures}</div>' if figures else ""
    return f'<section><div class="head"><h2>The whole picture</h2></div>{_rows(report.findings)}{shown}</section>'


def _people(report: TakeReport, watched: Watched, expected: Expected) -> Iterator[str]:
    for person in watched.people:
        judged = next(p for p in report.people if p.face_id == person.face_id)
        turns = [turn for turn in report.turns if turn.face_id == person.face_id]
        said = [finding for turn in turns for finding in turn.findings]
        yield (
            f'<section><div class="head"><h2>{escape(person.name)}</h2>{_mark(judged.verdict)}</div>'
            f"{_plot(person, judged, watched, expected, said)}{_rows([*judged.findings, *said])}</section>"
        )
    off_screen = [finding for turn in report.turns if not turn.face_id for finding in turn.findings]
    if off_screen:
        yield f'<section><div class="head"><h2>Off-screen voices</h2></div>{_rows(off_screen)}</section>'


def _plot(person: PersonCurves, judged: PersonReport, watched: Watched, expected: Expected, said: list[Finding]) -> str:
    """The own voice as a waveform with the mouth's opening over it, below it the identity."""
    length_s = watched.num_frames / watched.frame_rate
    mouth = plots.Scale(length_s, 110, max(0.1, float(np.nanmax(person.opening)) if person.seen.any() else 0.1), 18)
    parts = [plots.words(plots.LEFT, 12, "voice (blue) and mouth opening (red)")]
    for voice in (v for v in expected.voices if v.face_id == person.face_id):
        parts.append(plots.bars([(t.start_s, t.end_s, "turn", voice.name) for t in voice.turns], mouth))
        loud = loudness(voice.sound, watched.frame_rate, watched.num_frames)
        parts.append(plots.area(loud, watched.at_s, plots.Scale(length_s, 110, 1.0, 18), "voice"))
    bad = [f for f in (*judged.findings, *said) if f.verdict in ("look", "redo") and f.start_s is not None]
    spans = [
        (f.start_s - expected.starts_s, (f.end_s or f.start_s) - expected.starts_s, f"{f.verdict}-bar", f.sentence)
        for f in bad
        if f.start_s is not None
    ]
    parts += [plots.bars(spans, mouth), plots.line(person.opening, watched.at_s, mouth, "mouth")]
    parts.append(plots.seconds(mouth, 144))
    height = 150.0
    if len(person.identity) and np.isfinite(person.same_person):
        scale = plots.Scale(length_s, 60, person.same_person * 1.6, 172)
        at = scale.y(person.same_person)
        parts += [
            plots.words(plots.LEFT, 166, "distance from the face of the photo (dashed: somebody else)"),
            f'<line class="limit" x1="{plots.LEFT}" x2="{plots.WIDTH - plots.RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>',
            plots.line(person.identity, watched.at_s[person.identity_at], scale, "identity"),
        ]
        height = 240.0
    return plots.svg(height, *parts)


def _worst_pictures(report: TakeReport, watched: Watched, expected: Expected, facts: VideoFacts) -> Iterator[Picture]:
    """A frame for each kind of fault of each person, the serious ones first; the first frame where there is none."""
    shown: set[tuple[str, str]] = set()
    bad = [(f, p.face_id) for p in report.people for f in p.findings]
    bad += [(f, _whose(f, watched) or t.face_id) for t in report.turns for f in t.findings]
    bad += [(f, "") for f in report.findings]
    bad = [(f, face) for f, face in bad if f.verdict in ("look", "redo") and f.start_s is not None]
    for finding, face_id in sorted(bad, key=lambda pair: pair[0].verdict != "redo"):
        if (finding.kind, face_id) in shown or len(shown) >= MAX_PICTURES:
            continue
        shown.add((finding.kind, face_id))
        assert finding.start_s is not None
        at_s = (finding.start_s + (finding.end_s or finding.start_s)) / 2 - expected.starts_s
        yield from _picture(facts, at_s, _box_at(watched, face_id, at_s), f"{at_s:.1f} s: {finding.sentence}")
    if not shown:
        yield from _picture(facts, 0.0, None, "The first frame")


def _whose(finding: Finding, watched: Watched) -> str:
    """A wrong mouth is not the one of the person whose turn it is."""
    if finding.kind != "wrong-mouth":
        return ""
    return next((p.face_id for p in watched.people if finding.sentence.startswith(f"{p.name}'s mouth")), "")


def _box_at(watched: Watched, face_id: str, at_s: float) -> NDArray[np.float32] | None:
    person = next((p for p in watched.people if p.face_id == face_id), None)
    if person is None or not len(person.boxes):
        return None
    box = person.boxes[min(max(0, int(at_s * watched.frame_rate)), len(person.boxes) - 1)]
    return box if np.isfinite(box).all() else None


def _picture(facts: VideoFacts, at_s: float, box: NDArray[np.float32] | None, text: str) -> Iterator[Picture]:
    rgb = next(iter(frames_of(facts, max(0.0, at_s))), None)
    if rgb is None:
        return
    if box is not None:
        room = 0.6 * (box[2:] - box[:2])
        (x0, y0), (x1, y1) = np.maximum(box[:2] - room, 0).astype(int), (box[2:] + room).astype(int)
        rgb = rgb[y0 : max(y1, y0 + 8), x0 : max(x1, x0 + 8)]
    scale = PICTURE_PX / rgb.shape[1]
    small = cv2.resize(rgb, (PICTURE_PX, max(1, round(rgb.shape[0] * scale))), interpolation=cv2.INTER_AREA)
    done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    if done:
        yield Picture(jpeg.tobytes(), text)
