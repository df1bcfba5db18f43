"""The rules of verification over fakes; integration/audio/test_spoken_challenge.py has real voices."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from src.domain.audio import Audio, AudioFormat
from src.domain.consent import Challenge, Consent, ConsentMethod
from src.domain.errors import (
    ConsentRequired,
    DeadlineExceeded,
    NoSpeechDetected,
    NotFound,
    UnsupportedLanguage,
    VerificationFailed,
)
from src.domain.jobs import now
from src.domain.speech import DecodedSpeech, VoicePrint
from src.services.profiles.profiles import NewProfile
from src.services.profiles.verification import SpokenAnswer, pieces
from tests.fakes.assembly import Bench
from tests.fakes.fakes import FakeDecoder, Gate, tone

NEW = NewProfile("ann", b"reference", AudioFormat.WAV, Consent("I agree.", now()), "work")


async def challenge(bench: Bench, user: str = "ann", language: str | None = None) -> Challenge:
    made = await bench.verification.challenges.issue(user, language)
    bench.transcriber.sentences = (made.sentence,)
    return made


def answered(made: Challenge, audio: bytes = b"answer") -> SpokenAnswer:
    return SpokenAnswer(made.id, audio, AudioFormat.WAV)


class PitchAnalyzer:
    """Two tones are the same speaker's when they are alike."""

    async def analyze(self, audio: Audio) -> VoicePrint:
        crossings = int(np.count_nonzero(np.diff(np.signbit(audio.samples)))) / 2 / audio.duration_seconds
        angle = np.log2(crossings / 100)
        return VoicePrint((float(np.cos(angle)), float(np.sin(angle))), 120.0, 0.3, (0.0,) * 12)


async def test_a_profile_with_the_right_answer_is_verified() -> None:
    bench = Bench()
    saved = await bench.profiles.save(replace(NEW, verification=answered(await challenge(bench))))
    assert saved.verified
    assert saved.consent is not None
    assert saved.consent.method is ConsentMethod.SPOKEN_CHALLENGE
    assert (await bench.profiles.get(saved.id, "ann")).verified_at == saved.consent.received_at


async def test_an_answer_to_a_challenge_needs_a_consent_that_it_verifies() -> None:
    bench = Bench()
    spoken = answered(await challenge(bench))
    with pytest.raises(ConsentRequired):
        await bench.profiles.save(replace(NEW, consent=None, verification=spoken))
    saved = await bench.profiles.save(replace(NEW, consent=None))
    with pytest.raises(ConsentRequired, match="anew"):
        await bench.profiles.verify(saved.id, "ann", spoken, "gateway")
    assert (await bench.profiles.save(replace(NEW, profile_id=saved.id, verification=spoken))).verified


async def test_other_words_are_refused_and_nothing_is_kept() -> None:
    bench = Bench()
    made = await challenge(bench)
    bench.transcriber.sentences = ("something else altogether",)
    with pytest.raises(VerificationFailed, match=r"^The words are not those") as refusal:
        await bench.profiles.save(replace(NEW, verification=answered(made)))
    assert "altogether" not in refusal.value.detail
    assert (bench.storage.files, bench.profile_rows.rows) == ({}, {})
    assert bench.voice.conditioned == 0


async def test_silence_after_the_decoder_counts_as_other_words() -> None:
    bench = Bench()
    made = await challenge(bench)
    bench.transcriber.sentences = ()
    with pytest.raises(VerificationFailed, match=r"^The words"):
        await bench.profiles.save(replace(NEW, verification=answered(made)))


@pytest.mark.parametrize("right_words", [True, False])
async def test_another_voice_is_refused_and_said_to_be_so(right_words: bool) -> None:
    bench = Bench()
    bench.verification.analyzer = PitchAnalyzer()
    made = await challenge(bench)
    if not right_words:
        bench.transcriber.sentences = ("no",)
    with pytest.raises(VerificationFailed) as refusal:
        await bench.profiles.save(replace(NEW, verification=answered(made, b"another")))
    assert "voice is not the one" in refusal.value.detail
    assert ("words are not those" in refusal.value.detail) is not right_words


async def test_the_same_voice_passes_the_same_measure() -> None:
    bench = Bench()
    bench.verification.analyzer = PitchAnalyzer()
    made = await challenge(bench)
    assert (await bench.profiles.save(replace(NEW, verification=answered(made, b"reference")))).verified


async def test_each_further_recording_must_be_the_speakers() -> None:
    bench = Bench()
    bench.verification.analyzer = PitchAnalyzer()
    made = await challenge(bench)
    mixed = replace(NEW, additional_references=(b"another",), verification=answered(made, b"reference"))
    with pytest.raises(VerificationFailed, match=r"^The voice is not"):
        await bench.profiles.save(mixed)


async def test_another_voice_late_in_a_long_reference_is_found() -> None:
    bench = Bench()
    bench.verification.analyzer = PitchAnalyzer()
    own, other = tone(60.0, 22_050, 200.0), tone(6.0, 22_050, 400.0)
    long = Audio(np.concatenate([own.samples, other.samples]), 22_050)
    with pytest.raises(VerificationFailed):
        await bench.verification.confirm("ann", await _said_at(bench, 200.0), (long,))
    await bench.verification.confirm("ann", await _said_at(bench, 200.0), (own,))


async def _said_at(bench: Bench, pitch_hz: float) -> SpokenAnswer:
    """The right words in this voice."""
    bench.verification.decoder = _Decoder(lambda: tone(5.0, 22_050, pitch_hz))
    return answered(await challenge(bench))


class _Decoder(FakeDecoder):
    def __init__(self, audio: Callable[[], Audio]) -> None:
        self._audio = audio

    async def decode(self, data: bytes, declared: AudioFormat) -> DecodedSpeech:
        return DecodedSpeech(self._audio(), 5.0, 0.0)


@pytest.mark.parametrize(("seconds", "count"), [(0.5, 1), (6.0, 1), (8.9, 1), (9.1, 2), (60.0, 10), (61.0, 10)])
def test_pieces_are_alike_and_nothing_is_left_out(seconds: float, count: int) -> None:
    audio = tone(seconds, 1000)
    cut = list(pieces(audio))
    assert len(cut) == count
    assert np.array_equal(np.concatenate([piece.samples for piece in cut]), audio.samples)
    assert max(len(piece.samples) for piece in cut) - min(len(piece.samples) for piece in cut) <= 1


async def test_an_answer_counts_once_right_or_wrong() -> None:
    bench = Bench()
    made = await challenge(bench)
    bench.transcriber.sentences = ("wrong",)
    with pytest.raises(VerificationFailed):
        await bench.profiles.save(replace(NEW, verification=answered(made)))
    bench.transcriber.sentences = (made.sentence,)
    with pytest.raises(NotFound):
        await bench.profiles.save(replace(NEW, verification=answered(made)))


async def test_what_cannot_be_decoded_leaves_the_challenge_open() -> None:
    bench = Bench()
    made = await challenge(bench)
    with pytest.raises(NoSpeechDetected, match=r"^verification\.audio: "):
        await bench.profiles.save(replace(NEW, verification=answered(made, b"silence")))
    assert (await bench.profiles.save(replace(NEW, verification=answered(made)))).verified


async def test_another_users_challenge_is_none() -> None:
    bench = Bench()
    made = await challenge(bench, user="bob")
    with pytest.raises(NotFound):
        await bench.profiles.save(replace(NEW, verification=answered(made)))
    assert made.id in bench.challenges.open


async def test_a_recogniser_that_never_answers_is_not_waited_for() -> None:
    bench = Bench()
    bench.verification.timeout_seconds = 0.05
    made = await challenge(bench)
    bench.transcriber.gate = Gate()
    with pytest.raises(DeadlineExceeded):
        await bench.profiles.save(replace(NEW, verification=answered(made)))
    assert (bench.transcriber.gate.cancelled, bench.storage.files) == (1, {})


async def test_a_profile_that_is_there_can_be_verified_later_under_its_own_statement() -> None:
    bench = Bench()
    saved = await bench.profiles.save(NEW)
    assert not saved.verified
    verified = await bench.profiles.verify(saved.id, "ann", answered(await challenge(bench)), "gateway")
    assert await bench.profiles.get(saved.id, "ann") == replace(verified, updated_at=saved.updated_at)
    agreed = verified.consent
    assert agreed is not None
    assert saved.consent is not None
    assert (agreed.statement, agreed.recorded_at) == (saved.consent.statement, saved.consent.recorded_at)
    assert (agreed.sent_by, agreed.references) == ("gateway", saved.consent.references)
    assert agreed.id != saved.consent.id


async def test_a_profile_that_was_replaced_meanwhile_is_not_verified_by_an_answer_to_the_old_one() -> None:
    bench = Bench()
    saved = await bench.profiles.save(NEW)
    made = await challenge(bench)
    bench.transcriber.gate = Gate()
    verifying = asyncio.create_task(bench.profiles.verify(saved.id, "ann", answered(made), "ann"))
    while not bench.transcriber.gate.inside:
        await asyncio.sleep(0.001)
    new = Consent("And this.", now())
    await bench.profiles.save(replace(NEW, profile_id=saved.id, reference_audio=b"other", consent=new))
    bench.transcriber.gate.opened.set()
    with pytest.raises(NotFound):
        await verifying
    assert not (await bench.profiles.get(saved.id, "ann")).verified


async def test_replacing_a_verified_voice_without_an_answer_leaves_it_unverified() -> None:
    bench = Bench()
    saved = await bench.profiles.save(replace(NEW, verification=answered(await challenge(bench))))
    again = replace(NEW, profile_id=saved.id, reference_audio=b"other", consent=Consent("Again.", now()))
    assert not (await bench.profiles.save(again)).verified


async def test_where_it_is_required_nothing_unverified_is_kept_or_spoken_with() -> None:
    lax = Bench()
    before = await lax.profiles.save(NEW)
    strict = Bench(profile_rows=lax.profile_rows, storage=lax.storage, verification_required=True)
    calls: list[Callable[[], Any]] = [
        lambda: strict.profiles.save(NEW),
        lambda: strict.profiles.voice(before.id, "ann"),
        lambda: strict.profiles.require_usable(before.id, "ann"),
    ]
    for call in calls:
        with pytest.raises(ConsentRequired):
            await call()
    with pytest.raises(ConsentRequired):
        strict.profiles.require_usable_recording()
    await strict.profiles.verify(before.id, "ann", answered(await challenge(strict)), "ann")
    await strict.profiles.require_usable(before.id, "ann")
    assert (await strict.profiles.voice(before.id, "ann")).conditioning.engine == "fake-voice"


async def test_where_it_is_optional_recordings_are_spoken_with() -> None:
    bench = Bench()
    bench.profiles.require_usable_recording()
    await bench.profiles.require_usable((await bench.profiles.save(NEW)).id, "ann")


async def test_challenges_are_in_the_languages_that_are_heard() -> None:
    bench = Bench()
    assert (await challenge(bench)).language == "en"
    assert (await challenge(bench, language="fr")).language == "fr"
    with pytest.raises(UnsupportedLanguage, match="en, fr"):
        await challenge(bench, language="de")
    bench.transcriber.languages = frozenset({"xx"})
    with pytest.raises(UnsupportedLanguage, match="nothing"):
        await challenge(bench)
