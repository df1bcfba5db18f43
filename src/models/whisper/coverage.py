"""Which speech no word covers."""

from collections.abc import Sequence

from src.domain.speech import Segment, Word
from src.models.whisper.windows import Span, Stretches, inside, phrases

_BESIDE_SECONDS = 0.25
"""Words are timed to about this."""
_LEAST_SECONDS = 0.6
"""Less speech than this between two words is how they are spoken, or their times."""
_WORD_SECONDS, _LETTER_SECONDS, _SIGN_SECONDS = 0.5, 0.12, 0.5
"""The longest that a word takes: a base, and more for each letter; for a digit or an ideograph that of a word."""

_LETTERS_A_SECOND, _SIGN_LETTERS, _THIN_SECONDS = 10.0, 4, 1.5
"""Most people say more letters a second; a digit or an ideograph is said like so many letters."""
_REPEATED_SECONDS = 0.5
"""The shortest that is looked at as something said again."""


def uncovered(speech: Stretches, segments: Sequence[Segment]) -> list[Span]:
    """Stretches of speech of 0.6 s or more in which no word was heard.

    A word covers no more than it can take: what Whisper leaves out shows as one word that lasts until the next.
    """
    left = list(speech)
    for begin, end in _covered(segments):
        left = [piece for a, b in left for piece in ((a, min(b, begin)), (max(a, end), b)) if piece[0] < piece[1]]
    return [(a, b) for a, b in left if b - a >= _LEAST_SECONDS]


def repeated(segment: Segment, speech: Stretches) -> list[list[Span]]:
    """The phrases of a segment that has few letters for the speech that it lies over: several of them may have become
    one, as when somebody says the same twice. Empty for others.
    """
    spoken = inside(speech, segment.start, segment.end)
    seconds = sum(end - begin for begin, end in spoken)
    letters = sum(_SIGN_LETTERS if _long(sign) else 1 for sign in segment.text if sign.isalnum())
    said = phrases(spoken, _REPEATED_SECONDS)
    few = seconds >= _THIN_SECONDS and letters < _LETTERS_A_SECOND * seconds
    return said if few and len(said) > 1 else []


def _covered(segments: Sequence[Segment]) -> list[Span]:
    spans: list[Span] = []
    for segment in segments:
        spans += [_of(word) for word in segment.words] or [(segment.start, segment.end)]
    return spans


def _of(word: Word) -> Span:
    longest = _WORD_SECONDS + sum(_SIGN_SECONDS if _long(sign) else _LETTER_SECONDS for sign in word.text)
    return word.start - _BESIDE_SECONDS, min(word.end, word.start + longest) + _BESIDE_SECONDS


def _long(sign: str) -> bool:
    return sign.isdigit() or "\u3040" <= sign <= "\ud7ff"
