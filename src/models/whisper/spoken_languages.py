"""Which language is spoken where in a recording."""

import math
from collections.abc import Iterable, Sequence

_SWITCH = 2.3
"""Natural logarithm of how much likelier another language must be before it is believed that the speaker changed."""
_LEAST = 0.002
"""No phrase makes a language less likely than this. One phrase that is sure outweighs two changes, a guess does not."""
_SURE_SECONDS = 3.0
"""A phrase of this length or more counts whole; a shorter one in proportion."""

Probabilities = dict[str, float]


def among(probabilities: Probabilities, languages: Iterable[str]) -> Probabilities:
    """Those of `languages`, adding up to 1."""
    known = {code: probabilities.get(code, 0.0) for code in languages}
    total = sum(known.values()) or 1.0
    return {code: value / total for code, value in known.items()}


def likeliest(probabilities: Probabilities) -> str:
    return max(probabilities, key=lambda code: probabilities[code])


def languages_of(phrases: Sequence[tuple[Probabilities, float]], named: str | None = None) -> list[str]:
    """The language of each phrase, by its probabilities of the same languages and its seconds: the likeliest sequence
    where every change costs `_SWITCH` (Viterbi's algorithm). One that is `named` counts as spoken before and after.
    """
    codes = list(phrases[0][0])
    if named is not None:
        certain = ({code: float(code == named) for code in codes}, _SURE_SECONDS)
        return languages_of([certain, *phrases, certain])[1:-1]
    scores = dict.fromkeys(codes, 0.0)
    before: list[dict[str, str]] = []
    for probabilities, seconds in phrases:
        best = likeliest(scores)
        kept = {code: code if scores[code] >= scores[best] - _SWITCH else best for code in codes}
        before.append(kept)
        weight = min(1.0, seconds / _SURE_SECONDS)
        scores = {
            code: scores[kept[code]]
            - (_SWITCH if kept[code] != code else 0.0)
            + weight * math.log(max(probabilities[code], _LEAST))
            for code in codes
        }
    found = [likeliest(scores)]
    for kept in reversed(before[1:]):
        found.append(kept[found[-1]])
    return found[::-1]
