"""A ready prompt for the diffusion model, made from the scene: how many people, who talks, who listens.

The network was trained with captions that describe the shot in whole English sentences. Only what the scene knows is
said: who the people are and where they sit, it does not.
"""

from engine.cast.timeline import talking_s
from engine.project.document import Part, Scene

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CALM, LIVELY = 0.5, 1.5


def suggest_prompt(scene: Scene) -> str:
    """One to four sentences; "" for a scene without faces."""
    if not scene.faces:
        return ""
    spoken = talking_s(scene.turns)
    parts = []
    for face in sorted(scene.faces, key=lambda face: face.box_px[0] + face.box_px[2]):
        member = scene.member_of_face(face.id)
        part = member.part if member else Part.STILL
        speaks = member is not None and part is Part.TALKS and spoken.get(member.speaker_id or "", 0) > 0
        parts.append(Part.TALKS if speaks else Part.LISTENS if part is Part.TALKS else part)
    sentences = [_opening(parts, scene.interaction_strength), *_others(parts), _manner(parts)]
    return " ".join(sentence for sentence in sentences if sentence)


def _opening(parts: list[Part], strength: float) -> str:
    count, talking = len(parts), parts.count(Part.TALKS)
    if count == 1:
        return "One person talks to the camera." if talking else "One person looks into the camera and listens."
    people = f"{_number(count).capitalize()} people are together"
    if talking == 0:
        return f"{people}, listening quietly."
    if talking == 1:
        return f"{people}; {_place(parts)} talks to the others."
    mood = "a calm" if strength < CALM else "a lively" if strength > LIVELY else "a natural"
    who = "all" if talking == count and count > 2 else "both" if talking == count else _number(talking)
    return f"{people} in {mood} conversation; {who} of them talk, taking turns and looking at each other."


def _place(parts: list[Part]) -> str:
    """Where the only one who talks is, as far as left and right tell."""
    index = parts.index(Part.TALKS)
    if index == 0:
        return "the person on the left"
    if index == len(parts) - 1:
        return "the person on the right"
    return "the person in the middle" if len(parts) == 2 * index + 1 else "one of them"


def _others(parts: list[Part]) -> list[str]:
    listening, still = parts.count(Part.LISTENS), parts.count(Part.STILL)
    if len(parts) == 1 or not parts.count(Part.TALKS):
        return []
    said = []
    if listening:
        who = "One person listens" if listening == 1 else f"{_number(listening).capitalize()} people listen"
        said.append(f"{who} attentively with closed mouth{'' if listening == 1 else 's'}, with small nods.")
    if still:
        who = "One person stays" if still == 1 else f"{_number(still).capitalize()} people stay"
        said.append(f"{who} completely still.")
    return said


def _manner(parts: list[Part]) -> str:
    lips = "clear lip movements and " if Part.TALKS in parts else ""
    return f"Natural facial expressions, {lips}steady eyes; the camera does not move."


def _number(count: int) -> str:
    return NUMBERS[count] if count < len(NUMBERS) else str(count)
