"""Which language is spoken where in a recording."""

import math
from collections.abc import Iterable, Sequence

_SWITCH = 2.3
"""Natural logarithm of how much likelier another language must be before it is believed that the speaker changed."""
_LEAST = 0.002
"""No phrase makes a language less likely than this. One phrase that is sure outweighs two changes, a guess does not."""
_SURE_SECONDS = 3.0
"""A phrase of this length or more counts whole; a shorter one in proportion."""

TELLING_SECONDS = 1.5
"""Speech that it takes to tell languages apart. The bounds below are from `benchmark.py --suite hearing --bounds`: 100
prompts in five languages, whole and their first 1 to 3 s; 208 windows with as much speech, and 189 with less.
"""
_FOREIGN = 0.6
"""Probability of a language that the service does not have at which it says so, instead of taking the next likely. No
window is refused wrongly (at 0.5, 1 of 208; of the shorter ones, 1 of 189 up to 0.8), and 17 of 208 would not be
refused were their language not the service's (at 0.7, 22; at 0.9, 38).
"""
_OTHER, _OTHER_BRIEFLY, DECLARED = 0.6, 0.8, 0.05
"""The named language is not what is spoken: another one has this probability (the second for less speech), and it has
no more than that. Named rightly, 1 of 208 windows is said to be in another language (at 0.8, too); named as each of
three near languages, 570 of 624 are (at 0.8, 545). Of the shorter ones 3 of 189 and 377 of 567 (at 0.6, 8 and 446).
"""
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


def surely_foreign(probability: float, seconds: float) -> bool:
    """Of a language that the service does not have."""
    return probability >= _FOREIGN and seconds >= TELLING_SECONDS


def spoken_instead(probabilities: Probabilities, named: str, seconds: float, bound: float | None = None) -> str | None:
    """The language that is plainly spoken for that long instead of the one that was named. `bound`: instead of the
    one for that much speech.
    """
    best = likeliest(probabilities)
    sure = sure_of_another(seconds) if bound is None else bound
    return best if probabilities[best] >= sure and probabilities.get(named, 0.0) <= DECLARED else None


def sure_of_another(seconds: float) -> float:
    """Probability from which another language than the named one is believed."""
    return _OTHER if seconds >= TELLING_SECONDS else _OTHER_BRIEFLY
