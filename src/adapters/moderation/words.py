"""Lists of words: glin-profanity's, less what people say without offence, and with the operator's own.

A list is a text file named for its language, `en.txt` or `zh-Hant.txt`. Entries are words or phrases, with commas or
line ends between them. Three characters at the start of a line mean more:

# a remark
! entries that are innocent: where one stands, nothing is found that overlaps it, unless it is a part of a longer entry
[category] or [category severity], of all entries below; at the top of a file it is `profanity medium`
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from glin_profanity.data.dictionary import dictionary

from src.adapters.moderation.matching import INNOCENT, LONGEST_ENTRY, UNSPACED, Finding, Matcher, units
from src.domain.errors import EngineUnavailable
from src.domain.languages import LANGUAGES, VARIANTS, joined
from src.domain.moderation import Passage, Severity, Verdict, worst

PROFANITY = Finding("profanity", Severity.MEDIUM)

Entry = tuple[str, Finding | None]

_SHIPPED = Path(__file__).parent / "lists"
_HEADING = re.compile(r"\[([a-z0-9][a-z0-9_./-]{0,63})(?:\s+(low|medium|high))?\]")
_PLAIN = re.compile(r"[^\d*@$!?:&+.<>]+")
"""Neither digits nor signs: those of glin-profanity's entries that have them are spellings which get round filters, and
would find innocent numbers.
"""
_OTHER_SCRIPTS = frozenset({"zh-Hant"})
"""Variants in which a list of the bare language finds nothing."""


class WordLists:
    """Implements Moderator. `lists`: a matcher by language, or by variant."""

    name = "words"

    def __init__(self, lists: Mapping[str, Matcher]) -> None:
        self._lists = dict(lists)

    @classmethod
    def load(cls, folder: Path | None = None) -> "WordLists":
        """`folder`: the operator's own lists. Raises EngineUnavailable when they cannot be read."""
        own = _own_lists(folder) if folder is not None else {}
        entries = {tag: [*_published(tag), *own.get(tag, ())] for tag in (*LANGUAGES, *_OTHER_SCRIPTS)}
        return cls({tag: Matcher(_language(tag), listed) for tag, listed in entries.items() if listed})

    def notices(self) -> tuple[str, ...]:
        """The languages that nothing is found in."""
        return tuple(_missing(language) for language in LANGUAGES if language not in self._lists)

    async def review(self, passage: Passage) -> Verdict:
        matcher = self._lists.get(passage.language)
        if matcher is None and passage.language not in _OTHER_SCRIPTS:
            matcher = self._lists.get(_language(passage.language))
        if matcher is None:
            return Verdict(unreviewed=_missing(passage.language).removeprefix("moderation: "))
        # all pieces as one, since a phrase may begin in one and end in the next
        text = joined(passage.texts, _language(passage.language))
        found = await asyncio.to_thread(matcher.find, text)
        categories = dict.fromkeys(finding.category for finding in found)
        return Verdict(tuple(categories), worst([finding.severity for finding in found]))


def parse(text: str) -> Iterator[Entry]:
    """The entries of a list. Raises ValueError, with the number of the line, for what is not written as above."""
    finding = PROFANITY
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if line.startswith("["):
            heading = _HEADING.fullmatch(line)
            if heading is None:
                raise ValueError(f"line {number}: a heading is [category] or [category low|medium|high]")
            finding = Finding(heading[1], Severity(heading[2] or Severity.MEDIUM))
        elif not line.startswith("#"):
            innocent = line.startswith("!")
            for entry in filter(None, map(str.strip, line.removeprefix("!").split(","))):
                yield entry, INNOCENT if innocent else finding


def _published(tag: str) -> Iterator[Entry]:
    """What comes with the service, the corrections last: of two entries the later one stands. Nothing for a language
    that glin-profanity has no list of, which corrections alone are not.
    """
    words = dictionary.get_words(LANGUAGES[tag].name.lower()) if tag in LANGUAGES else []
    if not words:
        return
    for word in words:
        if _PLAIN.fullmatch(word) and (tag not in UNSPACED or len(word) > 1):
            yield word, PROFANITY
    yield from parse((_SHIPPED / f"{tag}.txt").read_text(encoding="utf-8"))


def _own_lists(folder: Path) -> dict[str, list[Entry]]:
    if not folder.is_dir():
        raise EngineUnavailable(f"MODERATION_WORDS_DIR: there is no folder {folder}.")
    known = {
        *LANGUAGES,
        *(variant for variants in VARIANTS.values() for variant in variants if variant in _OTHER_SCRIPTS),
    }
    lists = {}
    for file in sorted(folder.glob("*.txt")):
        if file.stem not in known:
            raise EngineUnavailable(f"MODERATION_WORDS_DIR: {file.name} names no language; there are {sorted(known)}.")
        try:
            lists[file.stem] = list(parse(file.read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            raise EngineUnavailable(f"MODERATION_WORDS_DIR: {file.name} is not UTF-8.") from None
        except (OSError, ValueError) as error:
            raise EngineUnavailable(f"MODERATION_WORDS_DIR: {file.name}: {error}.") from None
        _check(file, lists[file.stem])
    return lists


def _check(file: Path, entries: list[Entry]) -> None:
    """Every entry can be found as it is written."""
    for entry, _ in entries:
        if not 0 < len(units(entry, _language(file.stem))) <= LONGEST_ENTRY:
            raise EngineUnavailable(
                f"MODERATION_WORDS_DIR: {file.name} has an entry without letters, or of more than {LONGEST_ENTRY} "
                "words (characters, in Chinese and Japanese)."
            )


def _language(tag: str) -> str:
    return tag.partition("-")[0]


def _missing(tag: str) -> str:
    return f"moderation: no word list for {tag!r}"
