"""The filters' rules on values that are known, without any video."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from engine.analysis.overlaps import Stretch
from engine.errors import StudioError
from engine.evaluation.whose_voice import score_matrix
from engine.media.types import Waveform
from engine.training.prepare import work
from engine.training.prepare.choose import ChosenClip, Heard, _other_mouth, badly_seen, choose_clips
from engine.training.prepare.drops import WHY, Drop, Reason, counted
from engine.training.prepare.encode import PROMPTS, prompt_for
from engine.training.prepare.framing import fits_half, half_frame, whole_frame
from engine.training.prepare.people import Followed, PeopleFound
from engine.training.prepare.scores import MouthScores, SyncNetScores, paired, syncnet_distances
from engine.training.prepare.settings import PrepareSettings
from engine.training.prepare.speech import Piece, SpeechFound, SpokenTurn, alone_in, joined, pieces_of

ONE, TWO = PrepareSettings(stage=1, height=96, width=128), PrepareSettings(stage=2, height=96, width=192)
RATE, SOUND_RATE = 24.0, 16_000


def speech(*turns):
    return SpeechFound(turns=[SpokenTurn(speaker_id=who, start_s=a, end_s=b) for who, a, b in turns])


def murmur(length_s, seed=0, quiet_at_s=()):
    """Noise that swells like syllables, silent for 0.1 s around some moments."""
    rng = np.random.default_rng(seed)
    at = np.arange(round(length_s * SOUND_RATE)) / SOUND_RATE
    swell = np.interp(at, np.arange(0, length_s + 1, 0.15), rng.uniform(0, 1, len(np.arange(0, length_s + 1, 0.15))))
    for moment in quiet_at_s:
        swell[np.abs(at - moment) < 0.05] = 0
    return Waveform((rng.normal(size=len(at)) * swell * 0.2).astype(np.float32), SOUND_RATE)


def mouth(voice, num_frames, seed=0):
    """Opens as the voice is loud, and trembles a little."""
    from engine.evaluation.lip_sync import loudness

    rng = np.random.default_rng(seed)
    return 0.02 + 0.2 * loudness(voice, RATE, num_frames) + rng.normal(scale=0.005, size=num_frames)


def followed(openings, boxes=((40, 40, 90, 90), (140, 40, 190, 90)), identity=0.3):
    openings = np.stack(openings)
    people, length = openings.shape
    boxes = np.stack([np.tile(np.array(box, np.float32), (length, 1)) for box in boxes[:people]])
    looks = np.arange(0, length, 12)
    return Followed(0, openings, boxes, looks, np.full((people, len(looks)), identity))


def reasons(found):
    return [drop.reason for drop in found.drops]


# Speech


def test_where_people_speak_at_once_is_left_out_and_a_moment_of_it_is_not():
    found = speech(("a", 0.0, 4.0), ("b", 3.0, 8.0), ("a", 7.95, 10.0))
    alone, together = alone_in(found, 0.5, 9.0, 0.15)
    assert [(s.speaker_ids[0], s.start_s, s.end_s) for s in alone] == [
        ("a", 0.5, 3.0),
        ("b", 4.0, 7.95),
        ("a", 8.0, 9.0),
    ]
    assert [(s.start_s, s.end_s) for s in together] == [(3.0, 4.0)]


def test_long_turns_are_cut_at_quiet_moments_into_pieces_of_about_two_seconds():
    sound = murmur(10, quiet_at_s=(2.2, 3.9, 6.3))
    pieces = pieces_of([Stretch(0.0, 8.0, ("a",)), Stretch(8.5, 9.2, ("b",))], sound, 2.0)
    assert [piece.speaker_id for piece in pieces] == ["a"] * 4 + ["b"]
    assert [round(piece.end_s, 1) for piece in pieces] == [2.2, 3.9, 6.3, 8.0, 9.2]


def test_clips_are_about_as_long_as_the_paper_has_them():
    rng = np.random.default_rng(0)
    ends = np.cumsum(rng.uniform(1.4, 2.6, 2000))
    turns = [Stretch(a, b - 0.1, ("a",)) for a, b in pairwise(ends)]
    clips, short = joined(pieces_of(turns, murmur(1), 2.0), [], ONE, rng)
    lengths = np.array([clip[-1].end_s - clip[0].start_s for clip in clips])
    assert lengths.mean() == pytest.approx(4.0, abs=0.25)
    assert lengths.std() < 0.9
    assert ONE.min_clip_s <= lengths.min() <= lengths.max() <= ONE.max_clip_s
    assert len(short) < 0.1 * len(clips)


def test_a_clip_ends_at_a_pause_at_an_overlap_and_in_stage_1_at_another_voice():
    rng = np.random.default_rng(0)
    sound = murmur(20)

    def spans(turns, breaks, settings):
        clips, short = joined(pieces_of(turns, sound, 2.0), breaks, settings, rng)
        return [(round(c[0].start_s, 1), round(c[-1].end_s, 1)) for c in clips], len(short)

    paused = [Stretch(0, 2.7, ("a",)), Stretch(4.0, 6.8, ("a",))]
    assert spans(paused, [], ONE) == ([(0, 2.7), (4.0, 6.8)], 0)
    taken_turns = [Stretch(0, 2.0, ("a",)), Stretch(2.2, 4.2, ("b",))]
    assert spans(taken_turns, [], ONE) == ([], 2)
    assert spans(taken_turns, [], TWO) == ([(0, 4.2)], 0)
    at_once = [Stretch(0, 2.7, ("a",)), Stretch(3.1, 5.8, ("a",))]
    assert spans(at_once, [Stretch(2.7, 3.1, ("a", "b"))], TWO) == ([(0, 2.7), (3.1, 5.8)], 0)


# Whose voice


def test_the_two_largest_scores_must_lie_on_the_diagonal():
    assert paired(np.array([[0.7, 0.1], [0.2, 0.6]]), 0.15) == [0, 1]
    assert paired(np.array([[0.1, 0.7], [0.6, 0.2]]), 0.15) == [1, 0]
    assert paired(np.array([[0.7, 0.65], [0.1, 0.6]]), 0.15) is None
    assert paired(np.array([[0.7, 0.5], [0.6, 0.55]]), 0.15) is None
    assert paired(np.array([[0.6, 0.5]]), 0.15) is None
    assert paired(np.array([[0.1, 0.5]]), 0.15) == [None, 0]
    assert paired(np.zeros((3, 2)), 0.15) is None
    assert paired(np.array([[0.2]]), 0.15) == [0]


def test_a_mouth_fits_its_own_voice_and_no_other():
    voices = [murmur(6, seed) for seed in (1, 2)]
    scores = score_matrix([mouth(voice, 144) for voice in voices], voices, RATE)
    assert np.diag(scores).min() > 0.8
    assert max(scores[0, 1], scores[1, 0]) < 0.4
    assert score_matrix([], [], RATE).shape == (0, 0)


def chosen(openings, voices, found, settings=ONE, **named):
    sound = Waveform(np.sum([voice.samples for voice in voices.values()], axis=0), SOUND_RATE)
    people = followed(openings, **named)
    scores = MouthScores(people, voices, RATE, settings.min_sync, settings.min_lead)
    return choose_clips(("v.mp4", "v", (256, 144)), [people], Heard(sound, found, voices), settings, [scores])


def test_a_single_persons_clip_is_kept_when_lips_are_in_time_and_dropped_when_not():
    voice = murmur(9, 1)
    found = speech(("a", 0.0, 8.8))
    kept = chosen([mouth(voice, 216)], {"a": voice}, found)
    assert len(kept.clips) == 2
    assert all(clip.num_frames % 4 == 1 and clip.scores[0] > 0.8 for clip in kept.clips)
    dubbed = chosen([mouth(murmur(9, 2), 216)], {"a": voice}, found)
    assert not dubbed.clips
    assert set(reasons(dubbed)) == {Reason.OUT_OF_TIME}


def two_people():
    voices = {"a": murmur(9, 1), "b": murmur(9, 2)}
    voices["a"].samples[round(4.3 * SOUND_RATE) :] = 0
    voices["b"].samples[: round(4.5 * SOUND_RATE)] = 0
    return voices, speech(("a", 0.0, 4.3), ("b", 4.5, 8.9))


def test_two_people_are_paired_with_their_voices_whichever_comes_first():
    voices, found = two_people()
    right_first = chosen([mouth(voices["b"], 216), mouth(voices["a"], 216)], voices, found, TWO)
    assert right_first.clips
    assert not right_first.drops
    for clip in right_first.clips:
        assert clip.speaker_ids == ["b", "a"]
        speaking = [score for score in clip.scores if score]
        assert min(speaking) > 0.6


def test_two_people_whose_mouths_both_move_with_one_voice_are_dropped():
    voices, found = two_people()
    alike = mouth(voices["a"], 216)
    unclear = chosen([alike, alike], voices, found, TWO)
    assert not unclear.clips
    assert reasons(unclear) == [Reason.PAIRING]


def test_two_voices_that_the_diarizer_took_for_one_are_not_given_to_one_mouth():
    voices, _ = two_people()
    own = followed([mouth(voices["a"], 216), 2 * mouth(voices["b"], 216)]).between(24, 173)
    clip = ChosenClip(name="v", shot=0, first=24, num_frames=149, speaker_ids=[None, "c"], scores=[0, 0.5])
    reason, detail = _other_mouth(clip, own, [Piece(1.0, 4.3, "c"), Piece(4.5, 7.0, "c")], RATE)
    assert reason is Reason.PAIRING
    assert detail == "The right one is said to speak at 1.0 s; the other mouth moves."
    assert _other_mouth(clip, own, [Piece(4.5, 7.0, "c")], RATE) is None


def test_a_third_voice_and_silence_are_dropped():
    voices, found = two_people()
    third = {**voices, "c": murmur(9, 3)}
    more = SpeechFound(turns=[*found.turns[:1], SpokenTurn(speaker_id="c", start_s=4.4, end_s=6.0), *found.turns[1:]])
    more.turns[-1].start_s = 6.1
    openings = [mouth(voices["a"], 216), mouth(voices["b"], 216)]
    assert Reason.NUM_VOICES in reasons(chosen(openings, third, more, TWO))
    assert reasons(chosen(openings[:1], {"a": voices["a"]}, speech(("a", 0.0, 0.4)))) == [Reason.NO_SPEECH]


class Colours:
    """Stands for SyncNet's network: a face that is light fits sound that is loud, whatever they mean."""

    def face(self, frames):
        light = frames.reshape(len(frames), -1).mean(1) / 255
        return np.stack([light[4:], 0 * light[4:]], axis=1).astype(np.float32)

    def sound(self, columns):
        loud = columns[:, 0].mean(1)
        return np.stack([(loud > np.median(loud)).astype(float), 0 * loud], axis=1).astype(np.float32)


def test_syncnet_scores_every_voice_with_every_face_on_the_videos_own_clock(monkeypatch):
    """Of two faces one is lit in time with the voice."""
    from engine.evaluation import syncnet
    from engine.evaluation.lip_sync import loudness
    from engine.evaluation.video import VideoFacts

    voice = murmur(8, 1)
    loud = loudness(voice, 25.0, 200)
    lit = np.convolve(loud > np.median(loud), np.ones(5) / 5, "same")
    frames = np.full((200, 96, 192, 3), 110, np.uint8)
    frames[:, :, 96:] = (lit * 255)[:, None, None, None]
    monkeypatch.setattr(syncnet, "frames_of", lambda facts: iter(frames))
    one = followed([np.full(120, 0.1)] * 2, boxes=[(20, 20, 60, 60), (120, 20, 160, 60)])
    shots = [replace(one, first=24), replace(one.between(0, 30), first=150)]
    facts = VideoFacts(None, (192, 96), RATE, 8.0, True)
    *seen, found = syncnet_distances(facts, shots, {"a": voice}, Colours())
    assert seen[-1] == 200
    scores = SyncNetScores(found[0], 2, RATE, 3.0, 0.05).matrix(24, 144, ["a"])
    assert scores[0, 1] > scores[0, 0] + 0.05
    assert paired(scores, 0.05) == [None, 0]
    assert SyncNetScores(found[1], 2, RATE, 3.0, 1.0).matrix(24, 40, ["a"]).max() == 0  # not in this shot


# How faces are seen


def test_lost_small_swapped_and_exchanged_faces_are_told():
    open_ = np.full(97, 0.1)
    good = followed([open_, open_])
    assert badly_seen(good, TWO) is None
    lost = open_.copy()
    lost[:4] = np.nan
    assert badly_seen(followed([lost, open_]), TWO) is None
    lost[:10] = np.nan
    assert badly_seen(followed([lost, open_]), TWO)[0] is Reason.FACE_LOST
    assert badly_seen(followed([open_], boxes=[(10, 10, 30, 30)]), ONE)[0] is Reason.FACE_SMALL
    good.boxes_px[0, 50:, 0::2] += 120
    assert badly_seen(good, TWO)[0] is Reason.ORDER_CHANGES
    exchanged = followed([open_, open_])
    exchanged.identity[1, 5:] = 1.7
    assert badly_seen(exchanged, TWO)[0] is Reason.IDENTITY_CHANGES
    exchanged.identity[1, 5:8] = np.nan
    exchanged.identity[1, 8:] = 0.8
    assert badly_seen(exchanged, TWO) is None


def test_a_face_that_does_not_fit_into_the_frame_is_dropped():
    voice = murmur(4, 1)
    wide = chosen([mouth(voice, 96)], {"a": voice}, speech(("a", 0.0, 3.9)), boxes=[(20, 2, 140, 142)])
    assert reasons(wide) == [Reason.OUT_OF_FRAME]


def test_whole_frames_keep_all_faces_and_halves_keep_their_shape():
    face = np.array([300.0, 80, 380, 180])
    whole = whole_frame((640, 360), face, (128, 96))
    x0, y0, x1, y1 = whole.window
    assert (x1 - x0, y1 - y0) == (480, 360)
    assert x0 == 100
    assert whole.picture(np.zeros((360, 640, 3), np.uint8)).shape == (96, 128, 3)
    np.testing.assert_array_equal(whole.boxes(face), [53, 21, 75, 48])
    assert whole_frame((640, 360), np.array([2.0, 80, 630, 180]), (128, 96)) is None
    widths = set()
    for seed in range(40):
        half = half_frame((640, 360), face, (64, 96), np.random.default_rng(seed))
        x0, y0, x1, y1 = half.window
        assert 0 <= x0 <= 300 < 380 <= x1 <= 640
        assert 0 <= y0 <= 80 < 180 <= y1 <= 360
        assert (x1 - x0) / (y1 - y0) == pytest.approx(64 / 96, rel=0.02)
        widths.add(x1 - x0)
    assert 125 <= min(widths) < 150
    assert 210 < max(widths) <= 240
    assert fits_half((640, 360), face, (64, 96))
    assert not fits_half((640, 360), np.array([100.0, 0, 350, 300]), (64, 96))


# What is written


def test_captions_stand_beside_their_video(tmp_path):
    video = tmp_path / "a.mp4"
    assert prompt_for(video, 1) == PROMPTS[1]
    (tmp_path / "a.txt").write_text("\ufeffA woman\n  laughs. \n", encoding="utf-8")
    assert prompt_for(video, 1) == "A woman laughs."
    (tmp_path / "a.txt").write_bytes(b" \n")
    assert prompt_for(video, 2) == PROMPTS[2]


def test_drops_are_counted_by_reason_and_every_reason_has_its_words():
    drops = [Drop(video="a", step="x", reason=Reason.OVERLAP, start_s=1, end_s=2.5)] * 2
    counts = counted([*drops, Drop(video="b", step="x", reason=Reason.NO_SOUND)])
    assert list(counts) == ["people speak at once", "no sound"]
    assert (counts["people speak at once"].count, counts["people speak at once"].seconds) == (2, 3.0)
    assert set(WHY) == set(Reason)


def test_what_was_followed_is_read_back(tmp_path):
    one = followed([np.array([0.1, np.nan, 0.3] * 20)])
    drop = Drop(video="ü", step="people", reason=Reason.FACE_LOST)
    PeopleFound([one, one.between(5, 50)], [drop]).save(tmp_path / "people.npz")
    back = PeopleFound.load(tmp_path / "people.npz")
    assert back.drops == [drop]
    assert (back.followed[1].first, back.followed[1].last) == (5, 50)
    np.testing.assert_array_equal(back.followed[0].opening, one.opening)
    np.testing.assert_array_equal(back.followed[1].identity_at, one.between(5, 50).identity_at)


MADE = work.Made(settings=ONE, codec="squares", audio_encoder="bands", lip_scores="x")


def test_a_folder_of_another_run_is_refused(tmp_path):
    work.WorkFolder(tmp_path / "out", MADE)
    work.WorkFolder(tmp_path / "out", MADE)
    other = work.Made(settings=ONE.model_copy(update={"seed": 5}), codec="wan", audio_encoder="bands", lip_scores="x")
    with pytest.raises(StudioError, match="seed was 0 and is 5, codec was 'squares' and is 'wan'"):
        work.WorkFolder(tmp_path / "out", other)
    (tmp_path / "out" / "prepare.json").write_text("{")
    with pytest.raises(StudioError, match="is damaged"):
        work.WorkFolder(tmp_path / "out", MADE)
    with pytest.raises(StudioError, match="holds something else"):
        work.WorkFolder(tmp_path, MADE)


def test_a_folder_without_videos_is_refused(tmp_path):
    with pytest.raises(StudioError, match="no video in"):
        work.videos_under(tmp_path)
    with pytest.raises(StudioError, match="is not a folder"):
        work.videos_under(tmp_path / "missing")


def test_videos_of_one_name_in_two_folders_stay_apart(tmp_path):
    for name in ("a/talk 1.mp4", "b/talk 1.mp4", "ü.MOV"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = work.videos_under(tmp_path)
    assert [source.name for source in found] == ["a/talk 1.mp4", "b/talk 1.mp4", "ü.MOV"]
    keys = [source.key for source in found]
    assert len(set(keys)) == 3
    assert all(key.isascii() and "." not in key for key in keys)


def test_later_videos_are_packed_after_those_of_the_first_run(tmp_path):
    folder = work.WorkFolder(tmp_path / "out", MADE)
    b, a, c = (work.Source(tmp_path / f"{name}.mp4", f"{name}.mp4") for name in "bac")
    assert folder.ordered([b]) == [b]
    assert folder.ordered([a, b, c]) == [b, a, c]
    assert folder.ordered([a, c]) == [a, c]
    folder.finish(b, work.VideoDone(name="b.mp4"))
    assert [source.name for source in folder.ordered([a, c])] == ["b.mp4", "a.mp4", "c.mp4"]


def test_settings_that_are_no_frame_are_refused():
    with pytest.raises(ValueError, match="extra"):
        PrepareSettings(stag=1)
    assert ChosenClip(name="a", shot=0, first=0, num_frames=5, speaker_ids=[None], scores=[0]).speaker_ids == [None]
