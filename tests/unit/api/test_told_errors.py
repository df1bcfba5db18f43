"""Errors that another process has told of are the same errors here."""

import pytest

from src.domain import errors
from src.domain.errors import VoiceServiceError, as_told


def every(kind: type[VoiceServiceError] = VoiceServiceError) -> list[type[VoiceServiceError]]:
    """Of the domain: the API has some more, which nobody else raises."""
    below = [each for each in kind.__subclasses__() if each.__module__ == errors.__name__]
    return [kind, *(deeper for each in below for deeper in every(each))]


@pytest.mark.parametrize("kind", every(), ids=lambda kind: kind.__name__)
def test_every_error_arrives_with_its_code_and_words(kind: type[VoiceServiceError]) -> None:
    arrived = as_told(kind.code, "what happened", 3.0)
    assert (arrived.code, arrived.detail, arrived.retry_after_seconds) == (kind.code, "what happened", 3.0)
    assert arrived.retryable == kind.retryable


@pytest.mark.parametrize("name", ["NoSpeechDetected", "ReferenceTooShort", "EngineUnavailable", "Overloaded"])
def test_what_services_tell_apart_arrives_as_its_own_kind(name: str) -> None:
    kind = getattr(errors, name)
    assert type(as_told(kind.code, "", None)) is kind


def test_an_unknown_code_is_a_defect() -> None:
    assert type(as_told("of_a_later_release", "", None)) is errors.InternalError
