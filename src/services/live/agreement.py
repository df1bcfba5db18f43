"""Which words are sure while somebody still speaks: those that two successive hypotheses agree on.

What was told once is never taken back. Where the final text has it otherwise, only what follows is told.
"""

import re
from collections.abc import Sequence

from src.domain.languages import UNSPACED
from src.utils.words import words

_WORD = re.compile(r"\s*\S+")


def distances(wanted: Sequence[str], found: Sequence[str], *, anywhere: bool = False) -> list[int]:
    """Words to be changed to make `wanted` of what of `found` ends behind each of its words, [len(found) + 1].

    What it begins with is the first word of `found`, or `anywhere` the best one.
    """
    row = [0 if anywhere else place for place in range(len(found) + 1)]
    for count, word in enumerate(wanted, start=1):
        before, row = row, [count]
        for place, other in enumerate(found, start=1):
            row.append(min(before[place - 1] + (word != other), before[place] + 1, row[-1] + 1))
    return row


class Agreement:
    """On the text of one utterance. `before`: on the one whose sound goes on in this, without a pause: what was told of
    it behind the cut (`behind_cut`) is not told again.
    """

    def __init__(self, before: "Agreement | None" = None) -> None:
        self._before = before
        self._last: list[str] = []
        self._told: list[str] = []
        self.behind_cut: list[str] = []

    def agreed(self, text: str, language: str) -> str:
        """A further hypothesis: what of it is sure by now and was not told. The last word may still go on."""
        pieces = _split(text, language)
        found, last = _plain(pieces), self._last
        self._last = found
        same = next((n for n, pair in enumerate(zip(found, last, strict=False)) if pair[0] != pair[1]), len(last))
        return "".join(pieces[self._behind_told(found) : max(0, min(same, len(pieces) - 1))])

    def rest(self, text: str, language: str) -> str:
        """The final text: what of it was not told."""
        pieces = _split(text, language)
        found = _plain(pieces)
        left = pieces[self._behind_told(found) :]
        if not left:
            self.behind_cut = self._told[_nearest(distances(found, self._told), len(found)) :]
        return "".join(left)

    def told(self, text: str, language: str) -> None:
        """It was, and stays."""
        self._told += _plain(_split(text, language))

    def _behind_told(self, found: list[str]) -> int:
        if self._before is not None:
            told, self._before = self._before.behind_cut, None
            if found[: len(told)] == told:
                self._told = list(told)
        return _nearest(distances(self._told, found), len(self._told)) if self._told else 0


def _nearest(row: Sequence[int], usual: int) -> int:
    """The place with the least distance; of several the one next to `usual`."""
    return min(range(len(row)), key=lambda place: (row[place], abs(place - usual)))


def _split(text: str, language: str) -> list[str]:
    """Pieces that are the text when put together."""
    return list(text.strip()) if language in UNSPACED else _WORD.findall(text.strip())


def _plain(pieces: list[str]) -> list[str]:
    return ["".join(words(piece)) for piece in pieces]
