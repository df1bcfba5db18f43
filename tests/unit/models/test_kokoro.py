"""Kokoro as the embedded engine uses it: how texts are read, what the network makes of them, which voice is taken."""

from pathlib import Path

import numpy as np
import pytest

from src.domain.audio import Audio
from src.domain.languages import LANGUAGES
from src.domain.speech import SpeechRequest, VoiceConditioning
from src.models.embedded_voice import kokoro as network
from src.models.embedded_voice.engine import ESPEAK_ALONE, NAME, EmbeddedVoice
from src.models.embedded_voice.kokoro import Kokoro, mixture
from src.models.embedded_voice.kokoro_files import VOICES
from src.models.embedded_voice.phonemes import phonemes
from src.models.speaker_analysis import SpeakerAnalysis
from tests.recordings import audio_files

FOLDER = Path(__file__).resolve().parents[3] / "checkpoints" / "kokoro"
"""Where scripts/setup brings it."""


@pytest.fixture(scope="module")
def kokoro() -> Kokoro:
    return Kokoro(FOLDER)


@pytest.fixture(scope="module")
def engine() -> EmbeddedVoice:
    return EmbeddedVoice(FOLDER)


class TestPhonemes:
    @pytest.mark.parametrize(
        ("language", "text", "said"),
        [
            ("en", "The boat is quiet, my child.", "ðə bˈOt ɪz kwˈIət, mI ʧˈIld."),
            ("es", "¿Qué tal? ¡Muy bien!", "kˈe tˈal? mˈuj βjˈen!"),
            ("fr", "Bonjour; un pain.", "bɔ̃ʒˈuʁ; œ̃ pˈɛ̃."),
            ("pl", "Żeby, dźwięk", "ʒˈɛbɨ, ʥvʲˈɛŋk"),
            ("tr", "hala", "hˈala"),
            ("it", "Grazie, la pizza.", "ɡrˈaʦje, la pˈiʦːa."),
            ("ja", "新聞、学校と手紙。", "ɕimbɯɴ, ɡaʔkoː to teɡamʲi."),
            ("ja", "京都の空気", "kʲoːto no kɯːkʲi"),
            ("zh", "你好，女人吃四个。", "ni↓xau↓, ny↓ɻə↗n ꭧʰɨ→ sɨ↘ kɤ↘."),
            ("zh", "学院二月", "ɕɥe↗ ɥɛ↘n ɚ↘ ɥe↘"),
        ],
    )
    def test_they_are_those_the_network_learned_from(self, language: str, text: str, said: str) -> None:
        assert phonemes(text, language) == said

    @pytest.mark.parametrize("language", sorted(LANGUAGES))
    @pytest.mark.parametrize("text", ["", "...", "¡¿!?", "🙂", "[[hola]]", "--help"])
    def test_nothing_breaks_them(self, language: str, text: str) -> None:
        phonemes(text, language)

    def test_a_word_of_another_language_leaves_no_mark(self) -> None:
        assert "(" not in phonemes("Je regarde un football game avec le manager.", "fr")


class TestTheNetwork:
    def test_it_speaks_with_each_voice(self, kokoro: Kokoro) -> None:
        said = phonemes("Good morning, how are you?", "en")
        her, him = (kokoro.say(said, kokoro.voices[name]) for name in ("af_heart", "am_michael"))
        analysis = SpeakerAnalysis()
        assert analysis.analyze(her).pitch_hz > 1.4 * analysis.analyze(him).pitch_hz
        assert 0.8 < her.duration_seconds < 4
        assert her.sample_rate == 24_000
        assert np.isfinite(her.samples).all()

    def test_signs_that_it_does_not_know_are_left_out(self, kokoro: Kokoro) -> None:
        style = kokoro.voices["ef_dora"]
        assert np.array_equal(kokoro.say("ˈola☃", style).samples, kokoro.say("ˈola", style).samples)
        assert len(kokoro.say("☃ .", style).samples) == 0

    def test_a_text_longer_than_one_run_is_cut_between_sentences_and_words(self) -> None:
        sentences = "ˈola kˈe tˈal. " * 100
        parts = list(network._parts(sentences))
        assert "".join(parts) == sentences
        assert all(len(part) <= network.MOST_TOKENS for part in parts)
        assert all(part.endswith(". ") for part in parts)
        words = list(network._parts("ˈola " * 300))
        assert all(part.endswith(" ") for part in words)
        assert sum(map(len, network._parts("a" * 1200))) == 1200

    def test_the_style_is_that_of_the_number_of_tokens(self, kokoro: Kokoro) -> None:
        style = np.array(kokoro.voices["ef_dora"])
        before = kokoro.say("ˈola", style)
        style[4:] = 0
        assert np.array_equal(kokoro.say("ˈola", style).samples, before.samples)
        style[3] = 0
        assert not np.array_equal(kokoro.say("ˈola", style).samples, before.samples)


class TestTheVoicesThatAreTaken:
    def test_most_is_of_the_language_and_near_in_pitch(self) -> None:
        firsts = {"en": "a", "es": "e", "fr": "f", "it": "i", "pt": "p", "ja": "j", "zh": "z", "de": "p", "ru": "p"}
        for language, letter in firsts.items():
            her, him = mixture(language, pitch_hz=220), mixture(language, pitch_hz=95)
            assert {*her, *him} <= set(VOICES)
            assert sum(her.values()) == pytest.approx(1)
            assert max(her, key=her.__getitem__)[:2] == f"{letter}f"
            man = max(him, key=him.__getitem__)
            assert man[:2] == ("ff" if language == "fr" else f"{letter}m")  # no man was recorded for French
        assert any(name[1] == "m" for name in mixture("fr", pitch_hz=95))

    def test_they_are_near_in_sound(self, kokoro: Kokoro) -> None:
        analysis = SpeakerAnalysis()
        said = phonemes("Where is the station, please? I have lost my way.", "en")
        for name in ("af_bella", "am_puck"):
            speaker = analysis.analyze(kokoro.say(said, kokoro.voices[name]))
            assert next(iter(mixture("en", speaker.embedding))) == name

    def test_nothing_known_is_no_error(self) -> None:
        assert next(iter(mixture("fr"))) == "ff_siwis"


class TestTheEngine:
    def test_the_speaker_chooses_the_base_voice(self, engine: EmbeddedVoice) -> None:
        unconverted = engine.condition(())
        embeddings = np.load(Path(network.__file__).with_name("kokoro_likeness.npz"))
        speakers = [
            tuple(map(float, embeddings["embeddings"][list(embeddings["names"]).index(name)])) for name in VOICES[:2]
        ]
        said = [engine.speak(SpeechRequest(("Hello.",), "en", unconverted, speaker=speaker)) for speaker in speakers]
        assert not np.array_equal(said[0].samples, said[1].samples)

    @pytest.mark.parametrize("language", ["es", "ko"])
    def test_without_the_network_espeak_speaks(self, engine: EmbeddedVoice, language: str) -> None:
        request = SpeechRequest(("Buenos días.",), language, engine.condition(()))
        assert not np.array_equal(engine.speak(request).samples, EmbeddedVoice().speak(request).samples)

    def test_a_voice_learned_without_the_network_is_spoken_with_it(self, engine: EmbeddedVoice) -> None:
        learned = EmbeddedVoice().condition((Audio(audio_files.speech(22_050), 22_050),))
        assert (learned.engine, engine.name) == (ESPEAK_ALONE, NAME)
        audio = engine.speak(SpeechRequest(("Buenos días.",), "es", VoiceConditioning(NAME, learned.data)))
        assert 0.4 < audio.duration_seconds < 3
