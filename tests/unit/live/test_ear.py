"""Utterances as they are cut out of the sound."""

from src.services.live.ear import Ear
from src.services.live.events import Utterance
from src.services.live.intake import Intake
from tests.fakes.fakes import FakeVoiceActivity
from tests.fakes.live import said


async def heard(*sounds: bytes) -> list[Utterance]:
    intake = Intake()
    ear = Ear(intake, FakeVoiceActivity())
    for sound in sounds:
        intake.put(sound)
    intake.end()
    return [utterance async for utterance in ear.utterances() if utterance is not None]


def told_again(before: Utterance, after: Utterance) -> str:
    """Of words that were told already, as if they belonged to `before`."""
    before.agreement.told("Wait. Stay on", "en")
    before.agreement.rest("Wait.", "en")
    return after.agreement.rest("Stay on the line.", "en")


async def test_what_was_told_is_remembered_over_a_cut_and_not_over_a_pause() -> None:
    first, second = await heard(said(1, 8.0, pause=1.0))
    assert first.end == second.begin
    assert told_again(first, second) == " the line."
    first, second = await heard(said(1), said(1))
    assert first.end < second.begin
    assert told_again(first, second) == "Stay on the line."
