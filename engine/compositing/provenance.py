"""That a video is AI-made: always said in the file itself, and visibly in the picture on request."""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from xml.sax.saxutils import quoteattr, unescape

import numpy as np
from numpy.typing import NDArray

from engine.compositing.lettering import Label, draw_lines
from engine.media.probe import probe_tags
from engine.media.write import Encoding, read_xmp

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC's word for media in which a real photo and recording were joined and animated by trained models."""

STATEMENT = (
    "AI-generated video: the people of a photo were animated to a recorded conversation; they did not move or speak so."
)
VISIBLE_TEXT = "AI-generated"


@dataclass(frozen=True)
class Mark:
    """What a video says about how it was made."""

    statement: str
    source_type: str
    software: str


def marked_encoding(title: str, engine_version: str, model: str) -> Encoding:
    """How to encode a take so that it carries the mark: as the container's comment, and as XMP for archives."""
    software = f"Roundtable {engine_version} ({model})"
    metadata = {
        "title": title,
        "comment": STATEMENT,
        "description": f"{STATEMENT} Digital source type: {SOURCE_TYPE}. Made with {software}.",
    }
    return Encoding(metadata={key: _one_line(value) for key, value in metadata.items()}, xmp=_xmp(software))


def read_mark(path: Path) -> Mark | None:
    """The mark in a video; None when it carries none. Raises UnreadableMedia when it is no video."""
    xmp = read_xmp(path)
    tags = {key.lower(): value for key, value in probe_tags(path).items()}  # WebM writes their names in capitals
    statement = tags.get("comment", "")
    if not statement.startswith("AI-generated") and SOURCE_TYPE not in xmp:
        return None
    source_type = SOURCE_TYPE if SOURCE_TYPE in xmp + tags.get("description", "") else ""
    software = tags.get("description", "").partition("Made with ")[2].removesuffix(".") or _creator_tool(xmp)
    return Mark(statement, source_type, software)


def _creator_tool(xmp: str) -> str:
    """The program's name in our XMP: QuickTime files have no description."""
    found = re.search(r"""xmp:CreatorTool=(?:"([^"]*)"|'([^']*)')""", xmp)
    return unescape(found.group(1) or found.group(2) or "", {"&quot;": '"'}) if found else ""


def draw_mark(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy of the frame (height, width, 3) uint8 with the visible mark in its upper left corner."""
    height, width = rgb.shape[:2]
    margin = max(4, min(height, width) // 40)
    return _visible_mark(width, height).blended(rgb, margin, margin)


@lru_cache(maxsize=4)
def _visible_mark(width: int, height: int) -> Label:
    return draw_lines((((VISIBLE_TEXT, (255, 255, 255)),),), max(11, round(min(width, height) / 30)), width)


def _one_line(text: str) -> str:
    return " ".join(text.replace("\0", " ").split())[:1000]


def _xmp(software: str) -> str:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        f" xmp:CreatorTool={quoteattr(software)} Iptc4xmpExt:DigitalSourceType={quoteattr(SOURCE_TYPE)}/>"
        '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    )
