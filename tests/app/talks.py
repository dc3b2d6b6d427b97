"""Projects for tests of the actions, made without any model."""

from engine.analysis.diarization import mark_overlaps
from engine.cast.suggest import suggest
from engine.project.document import Face, MediaInfo, MediaRef, Project, Scene, Speaker, Take, Turn, VoiceFile

TURNS = ((1, 0.0, 2.0), (2, 2.0, 5.0), (1, 4.5, 7.0), (2, 8.0, 9.0), (1, 9.5, 10.0))


def media(kind: str, **info: float) -> MediaRef:
    name = {"image": "photo.png", "audio": "talk.wav"}[kind]
    return MediaRef(path=f"media/{name}", sha256="0" * 64, info=MediaInfo(kind=kind, **info), original_name=name)


def talk(num_faces: int = 3, turns: tuple = TURNS, duration_s: float = 10.0) -> Project:
    faces = [
        Face(
            id=f"face-{n}", name=f"Face {n}", colour="#e4572e", box_px=(100 * n, 50, 100 * n + 60, 130),
            landmarks_px=[(100 * n + x, 50 + y) for x, y in ((20, 30), (40, 30), (30, 45), (22, 60), (38, 60))],
        )
        for n in range(1, num_faces + 1)
    ]  # fmt: skip
    ids = sorted({number for number, _, _ in turns})
    speakers = [Speaker(id=f"speaker-{n}", name=f"Speaker {n}") for n in ids]
    made = [Turn(id=f"t{i}", speaker_id=f"speaker-{n}", start_s=s, end_s=e) for i, (n, s, e) in enumerate(turns)]
    scene = Scene(
        photo=media("image", width=640, height=360),
        dialogue=media("audio", duration_s=duration_s, sample_rate=16000),
        faces=faces,
        speakers=speakers,
        turns=mark_overlaps(made),
        cast=suggest(faces, speakers),
        takes=[Take(id="take-1", settings={"kind": "final", "model": "anytalker-1.3b", "num_inference_steps": 40})],
    )
    return Project(title="Sofa", scene=scene)


def one_file_each() -> Project:
    project = talk()
    project.scene.dialogue = None
    project.scene.voices = [
        VoiceFile(speaker_id=speaker.id, media=media("audio", duration_s=length))
        for speaker, length in zip(project.scene.speakers, (10.0, 6.0), strict=True)
    ]
    return project


def spans(project: Project, speaker_id: str) -> list[tuple[float, float]]:
    return [(turn.start_s, turn.end_s) for turn in project.scene.turns if turn.speaker_id == speaker_id]


def turn(project: Project, turn_id: str) -> Turn:
    return next(turn for turn in project.scene.turns if turn.id == turn_id)


def parts(project: Project) -> dict[str, str]:
    from app.actions.faces import choice_of

    return {face.id: choice_of(project.scene.member_of_face(face.id)) for face in project.scene.faces}
