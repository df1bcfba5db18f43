"""The session's own voice, when the microphone hears it from the loudspeaker: it is not translated again."""

from dataclasses import dataclass

from src.services.live.agreement import distances
from src.utils.words import words

_HEARD_SECONDS = 10.0
"""How long after its end a sentence may still come back: players hold sound back, and rooms are slow."""
_ALIKE = 0.6
"""Share of the words heard that were said, one after the other. Loudspeakers cost a recogniser a third of them."""


@dataclass(frozen=True, slots=True)
class _Said:
    words: list[str]
    language: str
    begins: float
    ends: float


class Echo:
    """Times are seconds of one clock."""

    def __init__(self) -> None:
        self._said: list[_Said] = []

    def said(self, text: str, language: str, begins: float, ends: float) -> None:
        """A sentence is played from `begins` to `ends`, where the caller's player does not wait."""
        self._said = [each for each in self._said if each.ends + _HEARD_SECONDS > begins]
        self._said.append(_Said(words(text, language), language, begins, ends))

    def is_heard(self, text: str, language: str, begun: float, ended: float) -> bool:
        """Whether a text that was heard between these times is what was said."""
        heard = words(text, language)
        playing = [
            each
            for each in self._said
            if each.language == language and each.begins < ended and begun < each.ends + _HEARD_SECONDS
        ]
        said = [word for each in playing for word in each.words]
        if not heard or not said:
            return False
        return 1 - min(distances(heard, said, anywhere=True)) / len(heard) >= _ALIKE
