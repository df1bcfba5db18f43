"""Which pairs of languages the installed Apertium packages can translate, and over which middle languages."""

import os
import re
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import langcodes

from src.domain.languages import LANGUAGES

Pair = tuple[str, str]

_QUOTED = re.compile(r"'([^']+)'")
_PREFIXES = ("/usr/share", "/usr/local/share", "/opt/homebrew/share", "/opt/local/share")


def modes_directories() -> Iterator[Path]:
    """Where packages put their mode files, by precedence."""
    if named := os.environ.get("APERTIUM_DATADIR"):
        yield Path(named, "modes")
    for prefix in _PREFIXES:
        yield Path(prefix, "apertium", "modes")


def installed_modes(directories: Iterable[Path]) -> dict[Pair, Path]:
    """The mode file of every pair that can run, in the order of the pairs' names.

    A mode is named `eng-spa` or, for a variety of the target language, `spa-eng_US`. The plain one is preferred; names
    of three parts are experiments of a pair's authors and are left out.
    """
    found: dict[Pair, Path] = {}
    files = [file for directory in directories for file in sorted(directory.glob("*.mode"), key=_plain_names_first)]
    for file in files:
        pair = _pair(file.stem)
        if pair is not None and pair not in found and _can_run(file):
            found[pair] = file
    return dict(sorted(found.items()))


def shortest_routes(pairs: Iterable[Pair], max_hops: int) -> dict[Pair, tuple[str, ...]]:
    """The shortest way between every two of the service's languages; of two equally short ones the first by name.

    Middle languages may be others than the service's own (Catalan, say).
    """
    neighbours: dict[str, list[str]] = {}
    for source, target in sorted(pairs):
        neighbours.setdefault(source, []).append(target)
    routes: dict[Pair, tuple[str, ...]] = {}
    for source in LANGUAGES:
        for path in _paths_from(source, neighbours, max_hops):
            if path[-1] in LANGUAGES:
                routes[source, path[-1]] = path
    return routes


def _paths_from(source: str, neighbours: dict[str, list[str]], max_hops: int) -> Iterator[tuple[str, ...]]:
    """Breadth first, so that the first path to a language is a shortest one."""
    seen = {source}
    queue: deque[tuple[str, ...]] = deque([(source,)])
    while queue:
        path = queue.popleft()
        if len(path) > max_hops:
            continue
        for following in neighbours.get(path[-1], ()):
            if following not in seen:
                seen.add(following)
                longer = (*path, following)
                queue.append(longer)
                yield longer


def _plain_names_first(file: Path) -> tuple[bool, str]:
    return "_" in file.stem, file.stem


def _pair(mode: str) -> Pair | None:
    parts = mode.split("-")
    if len(parts) != 2:
        return None
    source, target = (_code(part) for part in parts)
    return (source, target) if source and target and source != target else None


def _code(name: str) -> str | None:
    """`eng`, `en` and `eng_US` are `en`."""
    try:
        return langcodes.Language.get(name.partition("_")[0]).language
    except (ValueError, LookupError):
        return None


def _can_run(mode: Path) -> bool:
    """Whether every program and data file that a mode names is there."""
    stages = mode.read_text(encoding="utf-8").split("|")
    programs = [stage.split()[0] for stage in stages if stage.split()]
    data = [name for stage in stages for name in _QUOTED.findall(stage)]
    return bool(programs) and all(map(shutil.which, programs)) and all(Path(name).is_file() for name in data)
