"""Its own voice, as a recogniser hears it from a loudspeaker, and people who speak meanwhile."""

import pytest

from src.services.live.echo import Echo

SAID = "Por favor introduzca una nueva extensión, seguida de almohadilla."


@pytest.fixture
def echo() -> Echo:
    echo = Echo()
    echo.said(SAID, "es", begins=10.0, ends=14.0)
    return echo


@pytest.mark.parametrize(
    "heard",
    [
        SAID,
        "por favor introduzca una nueva extension",
        "introduzca la nueva extensión seguida",
        "una nueva tensión, seguida de la almohadilla",
    ],
)
def test_what_was_said_is_its_own_voice(echo: Echo, heard: str) -> None:
    assert echo.is_heard(heard, "es", 11.0, 15.0)


@pytest.mark.parametrize(
    ("heard", "language", "begun", "ended"),
    [
        ("No entiendo, ¿puede repetir la pregunta?", "es", 11.0, 15.0),
        ("Por favor, ¿dónde está la estación?", "es", 11.0, 15.0),
        (SAID, "pt", 11.0, 15.0),
        (SAID, "es", 7.0, 9.5),
        (SAID, "es", 25.0, 29.0),
        ("", "es", 11.0, 15.0),
    ],
    ids=["another text", "the same beginning", "another language", "before", "long after", "nothing"],
)
def test_what_others_say_is_not(echo: Echo, heard: str, language: str, begun: float, ended: float) -> None:
    assert not echo.is_heard(heard, language, begun, ended)


def test_two_sentences_come_back_as_one_utterance(echo: Echo) -> None:
    echo.said("Gracias por su llamada.", "es", begins=12.0, ends=16.0)
    assert echo.is_heard("seguida de almohadilla gracias por su llamada", "es", 13.0, 17.0)


def test_it_forgets(echo: Echo) -> None:
    for second in range(1000):
        echo.said(f"Frase número {second}.", "es", begins=20.0 + second, ends=21.0 + second)
    assert len(echo._said) <= 12
