"""What Whisper left out, repeats or hears in another language: what is answered, what is heard again, what is said."""

from typing import Any, cast

import numpy as np
import pytest

from src.domain.audio import Audio
from src.domain.errors import SpeechNotUnderstood, UnsupportedLanguage
from src.domain.languages import LANGUAGES
from src.domain.speech import Hints, Quality, Segment, Transcript, Word
from src.models.whisper.decoding import Decoded
from src.models.whisper.hearing import MODEL_RATE, Clip, Hearing, Part
from src.models.whisper.spoken_languages import languages_of
from src.models.whisper.windows import phrases, uncovered

ALL = frozenset(LANGUAGES)


def decoded(log_probability: float, compression: float = 1.5, *, ended: bool = True, text: str = "words") -> Decoded:
    return Decoded((1, 2), text, log_probability, 0.0, compression, ended)


def part(begin: float, end: float, language: str | None = "en", **detected: float) -> Part:
    return Part(begin, end, cast("Any", None), [(begin, end)], language=language, detected=detected or None)


def hearing(*parts: Part, seconds: float = 30.0, language: str | None = None) -> Hearing:
    samples = np.zeros(round(seconds * MODEL_RATE), np.float32)
    clip = Clip(Audio(samples, MODEL_RATE), language, Quality.BALANCED)
    return Hearing(clip, samples, [span for one in parts for span in one.speech], ALL, list(parts))


def test_the_likeliest_attempt_is_kept_whatever_came_after_it() -> None:
    one = part(0, 10)
    for attempt in (decoded(-0.9), decoded(-0.3), decoded(-2.7)):
        one.keep(attempt.judged(one.seconds))
    assert one.best is not None
    assert one.best.log_probability == -0.3


def test_a_loop_is_worse_than_any_attempt_without_one() -> None:
    one = part(0, 10)
    for attempt in (decoded(-0.1, compression=9.0, ended=False), decoded(-1.2)):
        one.keep(attempt.judged(one.seconds))
    assert one.best is not None
    assert one.best.log_probability == -1.2


@pytest.mark.parametrize(
    ("log_probability", "ended", "letters", "loops"),
    [(-0.29, True, 300, False), (-0.29, False, 300, True), (-0.9, True, 300, True), (-0.29, True, 900, True)],
)
def test_a_repetition_that_is_likely_and_as_long_as_the_speech_was_said(
    log_probability: float, ended: bool, letters: int, loops: bool
) -> None:
    attempt = decoded(log_probability, compression=2.6, ended=ended, text="x" * letters).judged(28.0)
    assert attempt.looping is loops


def word(text: str, start: float, end: float) -> Word:
    return Word(text, start, end, 0.9)


def test_speech_behind_the_last_word_and_under_a_word_that_lasts_too_long_is_uncovered() -> None:
    segment = Segment("one two", 0.0, 6.0, (word("one", 0.0, 0.5), word("two", 0.5, 6.0)))
    assert [(round(a, 1), round(b, 1)) for a, b in uncovered([(0.0, 9.0)], [segment])] == [(1.6, 9.0)]


def test_words_as_they_are_spoken_leave_nothing_uncovered() -> None:
    words = tuple(
        word(text, index * 0.6, index * 0.6 + 0.5) for index, text in enumerate(["incorrect", "2024", "東京"])
    )
    assert uncovered([(0.0, 1.8)], [Segment("…", 0.0, 1.7, words)]) == []


def test_what_was_left_out_is_heard_again_in_windows_of_its_own() -> None:
    whole = hearing(part(0, 20))
    first = whole.parts[0]
    first.keep(decoded(-0.3))
    again = whole.take(first, [Segment("one", 0.0, 10.0)])
    assert [(rest.span, rest.speech) for rest in again] == [((9.8, 20.0), [(10.0, 20.0)])]


def test_what_stays_unheard_is_told_with_its_times() -> None:
    whole = hearing(part(0, 20))
    first = whole.parts[0]
    first.keep(decoded(-0.3))
    [rest] = whole.take(first, [Segment("one", 0.0, 10.0)])
    again = Part(*rest.span, cast("Any", None), rest.speech, again=1, language="en")
    whole.parts.append(again)
    assert whole.take(again, []) == []  # one phrase in which nothing was made out: no smaller window would help
    whole.finish()
    assert isinstance(whole.result, Transcript)
    assert whole.result.unheard == ((10.0, 20.0),)


@pytest.mark.parametrize(
    ("told", "chosen"),
    [
        ([("es", 0.9)] * 3 + [("en", 0.9)] * 3, ["es"] * 3 + ["en"] * 3),
        ([("en", 0.9), ("nl", 0.6), ("en", 0.9)], ["en"] * 3),  # one phrase that is not sure
        ([("es", 0.98), ("en", 0.996), ("es", 0.99)], ["es", "en", "es"]),
        ([("en", 0.9)] * 2 + [("fr", 0.98)] * 2 + [("en", 0.9)] * 2, ["en"] * 2 + ["fr"] * 2 + ["en"] * 2),
    ],
)
def test_the_language_changes_where_the_whole_message_says_so(told: list[tuple[str, float]], chosen: list[str]) -> None:
    codes = ("en", "es", "fr", "nl")
    found = [({code: p if code == best else (1 - p) / 3 for code in codes}, 3.0) for best, p in told]
    assert languages_of(found) == chosen


def test_phrases_of_two_languages_become_windows_of_one_each() -> None:
    spoken = [part(a, a + 4, None, en=en, es=1 - en) for a, en in ((0, 0.97), (5, 0.95), (10, 0.02), (15, 0.03))]
    windows = hearing(*spoken, seconds=20).judge_phrases()
    assert [(span, code) for span, _, code in windows] == [((0.0, 9.5), "en"), ((9.5, 20.0), "es")]


def test_a_stretch_in_another_language_than_the_named_one_is_told_and_heard_in_its_own() -> None:
    sure, guess = {"en": 0.001, "es": 0.999}, {"en": 0.04, "fr": 0.95, "es": 0.01}
    whole = hearing(
        part(0, 4, None, en=0.97, es=0.03),
        part(5, 9, None, **sure),
        part(10, 11, None, **guess),
        part(12, 16, None, en=0.97, es=0.03),
        seconds=16,
        language="en",
    )
    windows = whole.judge_declared_phrases("en")
    assert [(span, code) for span, _, code in windows] == [((0.0, 4.5), "en"), ((4.5, 9.5), "es"), ((9.5, 16.0), "en")]
    assert whole.foreign == [(5, 9, "es"), (10, 11, "fr")]


def test_phrases_end_at_pauses_and_are_long_enough_to_be_recognised() -> None:
    speech = [(0.0, 1.0), (1.4, 2.4), (3.0, 5.0), (6.0, 6.5)]
    assert phrases(speech) == [[(0.0, 1.0), (1.4, 2.4)], [(3.0, 5.0), (6.0, 6.5)]]


def test_one_short_word_is_never_refused_for_a_language_that_it_was_taken_for() -> None:
    whole = hearing(part(0, 0.6, None, la=0.9, es=0.06, en=0.04))
    whole.judge_one()
    assert (whole.result, whole.parts[0].language) == (None, "es")


def test_a_message_in_a_language_that_the_service_lacks_is_refused() -> None:
    whole = hearing(part(0, 8, None, sw=0.9, en=0.1))
    whole.judge_one()
    assert isinstance(whole.result, UnsupportedLanguage)
    assert "'sw'" in whole.result.detail
    assert "source_languages" in whole.result.detail


def test_candidates_are_believed_whatever_it_sounds_like() -> None:
    whole = hearing(part(0, 8, None, sw=0.9, en=0.02, nl=0.05, de=0.03))
    whole.clip = Clip(whole.clip.audio, None, Quality.BALANCED, Hints(("en", "nl")))
    whole.languages = frozenset({"en", "nl"})
    whole.judge_one()
    assert (whole.result, whole.parts[0].language) == (None, "nl")


def test_candidates_of_which_none_is_plainly_spoken_are_told() -> None:
    whole = hearing(part(0, 8, None, es=0.95, ja=0.02, ko=0.01))
    whole.clip = Clip(whole.clip.audio, None, Quality.BALANCED, Hints(("ja", "ko")))
    whole.languages = frozenset({"ja", "ko"})
    whole.judge_one()
    assert whole.sounds_like == "es"
    whole.parts[0].keep(decoded(-2.0))
    whole.take(whole.parts[0], [Segment("…", 0.0, 8.0)])
    whole.finish()
    assert isinstance(whole.result, SpeechNotUnderstood)
    assert "'es', not 'ja, ko'" in str(whole.result)


@pytest.mark.parametrize(
    ("spanish", "italian", "told"), [(0.95, 0.01, "es"), (0.65, 0.03, "es"), (0.4, 0.03, None), (0.65, 0.3, None)]
)
def test_a_named_language_that_is_plainly_not_spoken_is_told(spanish: float, italian: float, told: str | None) -> None:
    whole = hearing(part(0, 8, None, es=spanish, it=italian, pt=1 - spanish - italian), language="it")
    whole.judge_declared("it")
    assert (whole.sounds_like, whole.parts[0].language) == (told, "it")


@pytest.mark.parametrize(("spanish", "told"), [(0.65, None), (0.95, "es")])
def test_of_one_word_another_language_must_be_surer(spanish: float, told: str | None) -> None:
    whole = hearing(part(0, 0.8, None, es=spanish, it=0.01, pt=0.99 - spanish), language="it")
    whole.judge_declared("it")
    assert whole.sounds_like == told


def test_what_all_phrases_together_say_is_told_where_none_of_them_is_sure() -> None:
    whole = hearing(part(0, 4, None, es=0.5, it=0.3, pt=0.2), part(5, 9, None, es=0.5, it=0.3, fr=0.2), language="it")
    whole.whole = [part(0, 9, None, es=0.9, it=0.01)]
    whole.judge_declared_phrases("it")
    assert (whole.sounds_like, whole.foreign, whole.whole[0].language) == ("es", [], "it")


def test_a_text_that_is_most_unlikely_is_not_answered() -> None:
    whole = hearing(part(0, 8, None, en=0.95, ja=0.01), language="ja")
    whole.judge_declared("ja")
    whole.parts[0].keep(decoded(-5.8))
    whole.take(whole.parts[0], [Segment("…", 0.0, 8.0)])
    whole.finish()
    assert isinstance(whole.result, SpeechNotUnderstood)
    assert "'en', not 'ja'" in str(whole.result)


@pytest.mark.parametrize(
    ("phrase", "text"),
    [("Say it again", "Say it again Say it again"), ("And more of it was said.", "Say it again.")],
)
def test_a_segment_over_far_more_speech_than_it_has_letters_is_heard_phrase_by_phrase(phrase: str, text: str) -> None:
    """Somebody says a sentence twice; what only resembles speech is not believed."""
    whole = hearing(part(0, 10))
    first = whole.parts[0]
    first.speech = [(0.0, 4.0), (5.0, 9.0)]
    first.keep(decoded(-0.3))
    for rest in whole.take(first, [Segment("Say it again.", 0.0, 10.0)]):
        again = Part(*rest.span, cast("Any", None), rest.speech, again=1, doubt=rest.doubt, language="en")
        again.keep(decoded(-0.3))
        whole.parts.append(again)
        whole.take(again, [Segment(phrase, 0.2, 4.0)])
    whole.finish()
    assert isinstance(whole.result, Transcript)
    assert whole.result.text == text


def test_what_a_doubted_segment_leaves_out_is_heard_once() -> None:
    """Not as a phrase of it and as a gap, which would say the same words twice."""
    whole = hearing(part(0, 10))
    first = whole.parts[0]
    first.speech = [(0.0, 4.0), (5.0, 9.0)]
    first.keep(decoded(-0.3))
    stretched = Segment("Say it", 0.0, 9.0, (word("Say", 0.0, 0.5), word("it", 0.5, 9.0)))
    doubted = whole.take(first, [stretched])
    assert [rest.speech for rest in doubted] == [[(0.0, 4.0)], [(5.0, 9.0)]]
    left = []
    for rest in doubted:  # neither phrase says what the segment says: what it left out is heard again after all
        again = Part(*rest.span, cast("Any", None), rest.speech, again=1, doubt=rest.doubt, language="en")
        again.keep(decoded(-0.3))
        whole.parts.append(again)
        left += whole.take(again, [Segment("Quite another thing.", 0.2, 3.0)])
    assert [segment.text for segment in whole.segments] == ["Say it"]
    assert [(round(a, 1), round(b, 1)) for rest in left for a, b in rest.speech] == [(1.5, 4.0), (5.0, 9.0)]


def test_phrases_that_are_in_one_language_after_all_are_heard_in_the_windows_that_are_encoded() -> None:
    whole = hearing(part(0, 4, None, en=0.97, nl=0.03), part(5, 9, None, en=0.4, nl=0.6), seconds=9)
    encoded = [part(0, 9, None)]
    whole.whole = encoded
    assert whole.judge_phrases() == []
    assert whole.parts is encoded
    assert encoded[0].language == "en"
