"""``launch.py data prepare``: every video of a folder through every step, and into shards."""

import contextlib
import errno
import zipfile
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from engine.analysis.backends import kim_vocal
from engine.analysis.diarization import default_diarizer
from engine.analysis.face_protocols import FaceDetector
from engine.analysis.faces import FaceAnalyser, default_analyser
from engine.analysis.separation import separate
from engine.analysis.voice_protocols import Diarizer
from engine.errors import UnreadableMedia
from engine.evaluation.syncnet import LipDistances, LipNetwork, syncnet, syncnet_path
from engine.evaluation.video import VideoFacts
from engine.jobs.check_take import own_sound
from engine.jobs.events import StageProgress
from engine.media.types import Waveform
from engine.project.atomic import write_bytes, write_failed
from engine.training.prepare.choose import ClipsChosen, Heard, choose_clips
from engine.training.prepare.drops import Drop, Reason
from engine.training.prepare.encode import Encoding, encoded_clips, prompt_for
from engine.training.prepare.people import PeopleFound, follow_people
from engine.training.prepare.scores import (
    MOUTH_SCORES,
    SYNCNET_SCORES,
    LipScores,
    MouthScores,
    SyncNetScores,
    syncnet_distances,
)
from engine.training.prepare.settings import PrepareSettings
from engine.training.prepare.shots import ShotsFound, facts_for, find_shots, quick_detector
from engine.training.prepare.speech import SpeechFound, hear
from engine.training.prepare.work import Made, Source, VideoDone, WorkFolder, videos_under
from engine.training.samples import AudioEncoder, Codec
from engine.training.shards import ShardFacts, ShardIndex, open_shard

_FULL = (errno.ENOSPC, errno.EDQUOT)
Found = TypeVar("Found", bound=BaseModel)


@dataclass(frozen=True)
class Tools:
    """The models of one run."""

    codec: Codec
    audio: AudioEncoder
    analyser: FaceAnalyser
    detector: FaceDetector
    diarizer: Diarizer
    lip_network: LipNetwork | None = None
    isolator: kim_vocal.VoiceIsolator | None = None

    @property
    def lip_scores(self) -> str:
        return MOUTH_SCORES if self.lip_network is None else SYNCNET_SCORES

    @property
    def voices(self) -> str:
        return "as recorded" if self.isolator is None else kim_vocal.NAME

    @staticmethod
    def default(codec: Codec, audio: AudioEncoder) -> "Tools":
        """Embedded ones, or the full ones where they are on disk. Raises ModelMissing, UnusableCheckpoint."""
        analyser = default_analyser()
        path, isolator_path = syncnet_path(), kim_vocal.isolator_path()
        network = syncnet(path) if path else None
        isolator = kim_vocal.load_isolator(isolator_path) if isolator_path else None
        return Tools(codec, audio, analyser, quick_detector(analyser), default_diarizer(), network, isolator)


@dataclass(frozen=True)
class PrepareOrder:
    """Videos in ``source`` and the folders in it become shards in ``out``."""

    source: Path
    out: Path
    settings: PrepareSettings


def prepare(order: PrepareOrder, tools: Tools) -> Iterator[StageProgress | ShardIndex]:
    """Progress, then the index of what is in ``order.out``, also where the run only went on from an earlier one.

    Raises StudioError for a folder without videos, or begun with other settings; WriteFailed (disk full: what is
    finished stays); ModelMissing.
    """
    made = Made(
        settings=order.settings,
        codec=tools.codec.name,
        audio_encoder=tools.audio.name,
        lip_scores=tools.lip_scores,
        voices=tools.voices,
    )
    found = videos_under(order.source)
    work = WorkFolder(order.out, made)
    sources = work.ordered(found)
    for number, source in enumerate(sources):
        if work.done(source) is None:
            for step in _prepared(source, work, order.settings, tools):
                text = f"{step.text} ({number + 1} of {len(sources)})"
                yield StageProgress(step.stage, text, step.done, step.total)
            work.pack(sources, last=False)
    work.pack(sources, last=True)
    settings = order.settings
    facts = ShardFacts(
        settings.stage, tools.codec.name, tools.audio.name, settings.height, settings.width, settings.frame_rate
    )
    yield work.write_index(sources, facts)


def _prepared(source: Source, work: WorkFolder, settings: PrepareSettings, tools: Tools) -> Iterator[StageProgress]:
    try:
        yield from _Steps(source, work, settings, tools).run()
    except OSError as error:  # of a temporary file: what is written on purpose says so itself
        if error.errno not in _FULL:
            raise
        raise write_failed(work.folder, error) from error


@dataclass
class _Steps:
    """One video. What a step found is read again where it was stored before."""

    source: Source
    work: WorkFolder
    settings: PrepareSettings
    tools: Tools

    def run(self) -> Iterator[StageProgress]:
        """Ends with what came out of the video stored."""
        done = VideoDone(name=self.source.name)
        try:
            yield from self._through(done)
        except UnreadableMedia as error:  # a file that could be read a moment ago
            drop = Drop(video=self.source.name, step="encode", reason=Reason.UNREADABLE, detail=error.message)
            done = VideoDone(name=self.source.name, drops=[drop])
        self.work.finish(self.source, done)
        self.work.clear(self.source)

    def _through(self, done: VideoDone) -> Iterator[StageProgress]:
        name, settings = self.source.name, self.settings
        shots = yield from self._shots()
        done.drops += shots.drops
        if not shots.shots:
            return
        people = yield from self._people(shots)
        done.drops += people.drops
        if not people.followed:
            return
        facts = facts_for(self.source.path, settings)
        sound = own_sound(facts)
        if sound is not None and self.tools.isolator is not None:
            text = f"Taking music and noise out of {name}"
            for step in self.tools.isolator(sound):
                if isinstance(step, Waveform):
                    sound = step
                else:
                    yield StageProgress("isolate", text, round(100 * step), 100)
        yield StageProgress("speech", f"Listening who speaks in {name}")
        speech = self._kept("speech.json", SpeechFound, lambda: hear(sound, name, self.tools.diarizer))
        done.drops += speech.drops
        if sound is None or not speech.turns:
            return
        heard = Heard(sound, speech, separate(sound, speech.diarization()))
        yield StageProgress("choose", f"Choosing clips of {name}")
        chosen = yield from self._chosen(heard, people, facts)
        done.drops += chosen.drops
        if chosen.clips:
            yield from self._encode(chosen, people, heard, done)

    def _shots(self) -> Generator[StageProgress, None, ShotsFound]:
        kept = self._read("shots.json", ShotsFound)
        if kept is not None:
            return kept
        for step in find_shots(self.source.path, self.source.name, self.settings, self.tools.detector):
            if isinstance(step, StageProgress):
                yield step
            else:
                kept = step
        assert kept is not None
        self._store("shots.json", kept)
        return kept

    def _people(self, shots: ShotsFound) -> Generator[StageProgress, None, PeopleFound]:
        path = self.work.step_path(self.source, "people.npz")
        if path.is_file():
            with contextlib.suppress(ValueError, OSError, KeyError, zipfile.BadZipFile):
                return PeopleFound.load(path)
        found: PeopleFound | None = None
        for step in follow_people(self.source.path, self.source.name, shots, self.settings, self.tools.analyser):
            if isinstance(step, StageProgress):
                yield step
            else:
                found = step
        assert found is not None
        found.save(path)
        return found

    def _chosen(
        self, heard: Heard, people: PeopleFound, facts: VideoFacts
    ) -> Generator[StageProgress, None, ClipsChosen]:
        kept = self._read("clips.json", ClipsChosen)
        if kept is None:
            scores = yield from self._scores(heard, people, facts)
            video = self.source.name, self.source.key, facts.size
            kept = choose_clips(video, people.followed, heard, self.settings, scores)
            self._store("clips.json", kept)
        return kept

    def _scores(
        self, heard: Heard, people: PeopleFound, facts: VideoFacts
    ) -> Generator[StageProgress, None, Sequence[LipScores]]:
        """One for each shot."""
        settings, rate, network = self.settings, self.settings.frame_rate, self.tools.lip_network
        if network is None:
            least, lead = settings.min_sync, settings.min_lead
            return [MouthScores(one, heard.voices, rate, least, lead) for one in people.followed]
        shots: list[dict[tuple[str, int], LipDistances]] = []
        for step in syncnet_distances(facts, people.followed, heard.voices, network):
            if not isinstance(step, int):
                shots = step
            elif step % 25 == 0:
                yield StageProgress("choose", f"Comparing lips and voices of {self.source.name}", step)
        least, lead = settings.min_syncnet, settings.min_syncnet_lead
        return [
            SyncNetScores(pairs, len(one.opening), rate, least, lead)
            for pairs, one in zip(shots, people.followed, strict=True)
        ]

    def _encode(
        self, chosen: ClipsChosen, people: PeopleFound, heard: Heard, done: VideoDone
    ) -> Iterator[StageProgress]:  # fmt: skip
        prompt = prompt_for(self.source.path, self.settings.stage)
        encoding = Encoding(self.tools.codec, self.tools.audio, self.settings, prompt)
        facts, path = facts_for(self.source.path, self.settings), self.work.clips_path(self.source)
        text, total = f"Encoding clips of {self.source.name}", len(chosen.clips)
        yield StageProgress("encode", text, 0, total)
        with open_shard(path) as add:
            for clip in encoded_clips(facts, chosen.clips, people.followed, heard.voices, encoding):
                add(clip)
                done.num_clips += 1
                done.seconds = round(done.seconds + clip.num_frames / clip.frame_rate, 3)
                yield StageProgress("encode", text, done.num_clips, total)
        done.num_bytes = path.stat().st_size

    def _read(self, name: str, kind: type[Found]) -> Found | None:
        """What a step stored; None where it has not, or the file is damaged."""
        try:
            return kind.model_validate_json(self.work.step_path(self.source, name).read_bytes())
        except (OSError, ValidationError):
            return None

    def _store(self, name: str, found: BaseModel) -> None:
        write_bytes(self.work.step_path(self.source, name), found.model_dump_json().encode())

    def _kept(self, name: str, kind: type[Found], find: Callable[[], Found]) -> Found:
        kept = self._read(name, kind)
        if kept is None:
            kept = find()
            self._store(name, kept)
        return kept
