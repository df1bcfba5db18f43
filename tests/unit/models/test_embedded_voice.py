"""The embedded voice on real engines: what it says, how it sounds, and what it refuses."""

import io
import pickle

import numpy as np
import pytest

from src.domain.audio import Audio
from src.domain.errors import InternalError, ReferenceTooShort, UnsupportedLanguage
from src.domain.languages import LANGUAGES
from src.domain.speech import Quality, SpeechRequest, VoiceConditioning, compare
from src.models.embedded_voice.base_voice import espeak, say
from src.models.embedded_voice.engine import ESPEAK_ALONE, NAME, EmbeddedVoice, spoken_languages
from src.models.embedded_voice.japanese import kana
from src.models.speaker_analysis import SpeakerAnalysis
from src.utils.audio import beginning
from tests.recordings import audio_files

SPANISH = ("Hola, quisiera reservar una mesa para dos personas.", "El tren sale a las siete y media.")
GREETINGS = {
    "ar": "مرحبا كيف حالك اليوم",
    "cs": "Dobrý den, jak se máte?",
    "de": "Guten Tag, wie geht es Ihnen?",
    "en": "Good morning, how are you?",
    "es": "Buenos días, ¿cómo está?",
    "fr": "Bonjour, comment ça va ?",
    "hu": "Jó napot, hogy van?",
    "it": "Buongiorno, come sta?",
    "ja": "東京は天気がいいです。",
    "ko": "안녕하세요 잘 지내세요",
    "nl": "Goedemorgen, hoe gaat het?",
    "pl": "Dzień dobry, jak się pan ma?",
    "pt": "Bom dia, como você está?",
    "ru": "Доброе утро, как дела?",
    "tr": "Günaydın, nasılsınız?",
    "zh": "你好，今天天气很好。",
}


@pytest.fixture(scope="module")
def engine() -> EmbeddedVoice:
    return EmbeddedVoice()


@pytest.fixture(scope="module")
def analysis() -> SpeakerAnalysis:
    return SpeakerAnalysis()


def recording(voice: str) -> Audio:
    text = "The north wind and the sun were disputing which was the stronger, when a traveller came along."
    return Audio(audio_files.speech(22_050, text, voice), 22_050)


@pytest.fixture(scope="module")
def man(engine: EmbeddedVoice) -> VoiceConditioning:
    return engine.condition((recording("awb"),))


@pytest.fixture(scope="module")
def woman(engine: EmbeddedVoice) -> VoiceConditioning:
    return engine.condition((recording("slt"),))


@pytest.fixture(scope="module")
def spoken(engine: EmbeddedVoice, woman: VoiceConditioning) -> Audio:
    return engine.speak(SpeechRequest(SPANISH, "es", woman))


def assert_sound(audio: Audio) -> None:
    assert audio.sample_rate == 24_000
    assert audio.samples.dtype == np.float32
    assert audio.samples.ndim == 1
    assert np.isfinite(audio.samples).all()
    assert np.abs(audio.samples).max() < 0.75


def test_all_languages_of_the_service_are_spoken() -> None:
    assert spoken_languages() == frozenset(LANGUAGES)


def test_the_answer_is_near_to_the_reference_where_plain_speech_is_far(
    spoken: Audio, analysis: SpeakerAnalysis
) -> None:
    reference = analysis.analyze(recording("slt"))
    plain = analysis.analyze(espeak(" ".join(SPANISH), "es"))
    ours = analysis.analyze(spoken)
    assert compare(reference, ours).similarity > compare(reference, plain).similarity + 0.1
    assert ours.pitch_hz == pytest.approx(reference.pitch_hz, rel=0.08)
    assert compare(reference, ours).timbre_agreement > compare(reference, plain).timbre_agreement


def test_the_sound_is_whole(spoken: Audio) -> None:
    assert_sound(spoken)
    assert np.abs(spoken.samples).max() == pytest.approx(10 ** (-3 / 20), abs=0.01)
    assert 3 < spoken.duration_seconds < 9
    # A click would be a jump of nearly the whole range between two samples.
    assert np.abs(np.diff(spoken.samples)).max() < 0.6


def test_sentences_are_parted_by_a_pause(engine: EmbeddedVoice, man: VoiceConditioning) -> None:
    audio = engine.speak(SpeechRequest(("Uno.", "Dos."), "es", man))
    quiet = np.abs(audio.samples) < 10 ** (-50 / 20)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet.view(np.int8), [0]])))
    assert (edges[1::2] - edges[::2]).max() > 0.2 * audio.sample_rate


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_language_makes_sound(engine: EmbeddedVoice, man: VoiceConditioning, language: str) -> None:
    audio = engine.speak(SpeechRequest((GREETINGS[language],), language, man, quality=Quality.FAST))
    assert_sound(audio)
    assert 0.5 < audio.duration_seconds < 6
    assert np.sqrt(np.mean(audio.samples**2)) > 0.02


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("text", ["", "   ", "...", "¡¿!?", "\x00\x1b[31m", "🙂", "-v", "--help"])
def test_text_without_words_does_not_break(
    engine: EmbeddedVoice, man: VoiceConditioning, language: str, text: str
) -> None:
    audio = engine.speak(SpeechRequest((text,), language, man, quality=Quality.FAST))
    assert_sound(audio)
    assert 0 < audio.duration_seconds < 4


def test_chinese_characters_and_kanji_are_read_in_their_language() -> None:
    # Read as English or letter by letter they take twice as long.
    assert say("你好，今天天气很好。", "zh").duration_seconds < 3.2
    assert say("東京は天気がいいです。", "ja").duration_seconds < 3.2


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("昨日、本を買って、友達に送った。", "キノー、ホンヲカッテ、トモダチニオクッタ。"),
        ("学校に行って、帰ってきた。", "ガッコーニイッテ、カエッテキタ。"),
        ("髙橋さんは一番です。", "タカハシサンワイチバンデス。"),
        ("NASAとAとC。", "ナサトエイトシー。"),
        ("KowalskiとSmithとBBC。", "コワルスキートスミストビービーシー。"),
    ],
)
def test_kanji_are_read_with_their_okurigana(text: str, read: str) -> None:
    assert kana(text) == read


def test_a_long_text_is_read_with_breaths_between_words() -> None:
    text = "昨日の夜に友達と駅前の新しい店へ行って美味しい料理を食べながら来週の旅行の計画について話しました"
    read = kana(text)
    assert max(len(part) for part in read.split("、")) < 50
    assert read.replace("、", "").endswith("ハナシマシタ")
    assert not any(part.startswith("マシタ") for part in read.split("、"))


@pytest.mark.parametrize(
    ("language", "word"),
    [("ru", "привет"), ("ko", "안녕하세요"), ("en", "hello"), ("ja", "さくら"), ("zh", "你好世界")],
)
@pytest.mark.parametrize("space", ["", " "])
def test_an_endless_word_or_clause_is_said_to_its_end(language: str, word: str, space: str) -> None:
    one, two, many = (say(space.join([word] * count), language).duration_seconds for count in (1, 2, 40))
    assert many > 0.7 * 40 * (two - one)


def test_no_texts_are_a_pause(engine: EmbeddedVoice, man: VoiceConditioning) -> None:
    audio = engine.speak(SpeechRequest((), "es", man))
    assert audio.duration_seconds > 0
    assert not audio.samples.any()


def test_a_long_text_is_bounded() -> None:
    assert espeak("palabra " * 20_000, "es").duration_seconds < 300


def test_phoneme_codes_and_markup_in_a_text_are_not_obeyed() -> None:
    plain = espeak("hola ##nada", "es")
    assert len(espeak("[[hola]] <##nada>", "es").samples) == pytest.approx(len(plain.samples), rel=0.35)
    assert espeak("[[h'oUla h'oUla h'oUla]]", "es").duration_seconds > 2.5 * espeak("[[hola]]", "es").duration_seconds


def test_the_melody_comes_from_the_prosody(
    engine: EmbeddedVoice, man: VoiceConditioning, woman: VoiceConditioning, analysis: SpeakerAnalysis
) -> None:
    own = analysis.analyze(engine.speak(SpeechRequest(SPANISH, "es", man)))
    lent = analysis.analyze(engine.speak(SpeechRequest(SPANISH, "es", man, prosody=woman)))
    her = analysis.analyze(recording("slt"))
    assert lent.pitch_hz == pytest.approx(her.pitch_hz, rel=0.08)
    assert lent.pitch_hz > 1.2 * own.pitch_hz
    him = analysis.analyze(recording("awb"))
    assert compare(him, lent).timbre_agreement > compare(her, lent).timbre_agreement


@pytest.mark.parametrize("quality", [Quality.FAST, Quality.HIGH])
def test_every_quality_keeps_the_words_and_the_pitch(
    engine: EmbeddedVoice, woman: VoiceConditioning, spoken: Audio, quality: Quality
) -> None:
    audio = engine.speak(SpeechRequest(SPANISH, "es", woman, quality=quality))
    assert audio.duration_seconds == pytest.approx(spoken.duration_seconds, abs=0.01)


def test_the_same_request_has_the_same_answer(engine: EmbeddedVoice, woman: VoiceConditioning, spoken: Audio) -> None:
    assert np.array_equal(engine.speak(SpeechRequest(SPANISH, "es", woman)).samples, spoken.samples)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(44_100, np.float32),
        np.zeros(0, np.float32),
        np.random.default_rng(1).normal(0, 0.1, 44_100).astype(np.float32),
        audio_files.speech(22_050)[4_000:12_000],
    ],
    ids=["silence", "nothing", "noise", "a word"],
)
def test_a_reference_without_enough_voice_is_refused(engine: EmbeddedVoice, samples: np.ndarray) -> None:
    with pytest.raises(ReferenceTooShort):
        engine.condition((Audio(samples, 22_050),))


def test_a_narrow_and_quiet_reference_will_do(engine: EmbeddedVoice) -> None:
    telephone = Audio(audio_files.speech(8_000, voice="awb") * np.float32(0.01), 8_000)
    audio = engine.speak(SpeechRequest(SPANISH, "es", engine.condition((telephone,))))
    assert_sound(audio)
    assert np.sqrt(np.mean(audio.samples**2)) > 0.02


def test_several_references_all_give_to_the_voice(engine: EmbeddedVoice, woman: VoiceConditioning) -> None:
    audio = recording("slt")
    half = len(audio.samples) // 2
    halves = (Audio(audio.samples[:half], 22_050), Audio(audio.samples[half:], 22_050))
    assert engine.condition(halves) == woman
    assert engine.condition(halves[:1]) != woman
    other_rate = Audio(audio_files.speech(48_000), 48_000)
    both = engine.condition((audio, other_rate))
    assert len(both.data) > 1.3 * len(woman.data)
    assert_sound(engine.speak(SpeechRequest(SPANISH, "es", both)))


def test_references_have_equal_shares_of_the_most_that_is_kept(
    engine: EmbeddedVoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.models.embedded_voice.engine.MAX_REFERENCE_SECONDS", 4.0)
    woman, man = recording("slt"), recording("awb")
    alone = engine.condition((woman,))
    both = engine.condition((woman, man))
    assert both == engine.condition((beginning(woman, 2.0), beginning(man, 2.0)))
    assert both != alone
    assert alone.engine == ESPEAK_ALONE
    assert len(alone.data) < 130_000  # a minute is 2 MB


def test_a_language_that_is_not_spoken_is_refused(engine: EmbeddedVoice, man: VoiceConditioning) -> None:
    with pytest.raises(UnsupportedLanguage):
        engine.speak(SpeechRequest(("Hei.",), "fi", man))


def test_foreign_conditioning_is_refused_and_never_unpickled(engine: EmbeddedVoice, man: VoiceConditioning) -> None:
    file = io.BytesIO()
    np.savez(file, pitch=np.array([100.0]), cepstrum=np.array([print], dtype=object))
    hostile = [b"", b"garbage", pickle.dumps([1.0]), file.getvalue(), man.data[: len(man.data) // 2]]
    for data in hostile:
        with pytest.raises(InternalError):
            engine.speak(SpeechRequest(("Hola.",), "es", VoiceConditioning(NAME, data)))
    with pytest.raises(InternalError):
        engine.speak(SpeechRequest(("Hola.",), "es", VoiceConditioning("another", man.data)))


def test_a_text_longer_than_one_call_takes_is_said_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = EmbeddedVoice()
    voice = engine.condition((Audio(audio_files.speech(22_050), 22_050),))
    monkeypatch.setattr("src.models.embedded_voice.base_voice.MAX_CHARACTERS", 30)
    whole = engine.speak(SpeechRequest(("uno dos tres cuatro cinco seis siete ocho nueve diez",), "es", voice))
    part = engine.speak(SpeechRequest(("uno dos tres cuatro cinco",), "es", voice))
    assert whole.duration_seconds > 1.7 * part.duration_seconds
