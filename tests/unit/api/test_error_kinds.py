"""Errors that come from another process, as a code and a text, are the same errors here."""

import pytest

from src.domain import errors
from src.domain.errors import VoiceServiceError, error_kind


def every(kind: type[VoiceServiceError] = VoiceServiceError) -> list[type[VoiceServiceError]]:
    """Of the domain: the API has some more, which nobody else raises."""
    below = [each for each in kind.__subclasses__() if each.__module__ == errors.__name__]
    return [kind, *(deeper for each in below for deeper in every(each))]


@pytest.mark.parametrize("kind", every(), ids=lambda kind: kind.__name__)
def test_every_error_arrives_with_its_code_and_words(kind: type[VoiceServiceError]) -> None:
    arrived = error_kind(kind.code)("what happened", retry_after_seconds=3.0)
    assert (arrived.code, arrived.detail, arrived.retry_after_seconds) == (kind.code, "what happened", 3.0)
    assert arrived.retryable == kind.retryable


@pytest.mark.parametrize("name", ["NoSpeechDetected", "ReferenceTooShort", "EngineUnavailable", "Overloaded"])
def test_errors_that_services_catch_arrive_as_their_own_kind(name: str) -> None:
    kind = getattr(errors, name)
    assert error_kind(kind.code) is kind


def test_an_unknown_code_is_a_defect() -> None:
    assert error_kind("of_a_later_release") is errors.InternalError
