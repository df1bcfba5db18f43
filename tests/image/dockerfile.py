"""Dockerfiles read as Docker reads them, as far as this project's use goes; what is not known here is an error."""

import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_FLAG = re.compile(r"--([a-z-]+)(?:=(\S*))?\s+")


@dataclass(frozen=True)
class Run:
    """A command of /bin/sh."""

    command: str


@dataclass(frozen=True)
class Copy:
    """Files of the context, or of an earlier stage. A `target` that ends in a slash is a folder to copy into."""

    sources: tuple[str, ...]
    target: str
    stage: str | None = None


@dataclass(frozen=True)
class Argument:
    """A build argument. `default` None: there is none, and it is empty."""

    name: str
    default: str | None


@dataclass(frozen=True)
class Environment:
    values: Mapping[str, str]


@dataclass(frozen=True)
class Workdir:
    path: str


Step = Run | Copy | Argument | Environment | Workdir


@dataclass
class Stage:
    """One FROM with its steps in order, and what the image says about running it."""

    base: str
    name: str | None
    steps: list[Step] = field(default_factory=list)
    user: str | None = None
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    ports: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What ENV sets, as it is written: without substitution."""
        return {
            name: value for step in self.steps if isinstance(step, Environment) for name, value in step.values.items()
        }

    @property
    def runs(self) -> list[str]:
        return [step.command for step in self.steps if isinstance(step, Run)]


def parse(path: Path) -> list[Stage]:
    """The stages. Raises ValueError for what this does not know."""
    stages: list[Stage] = []
    for line in _instructions(path.read_text()):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stages.append(_stage(rest.split()))
        elif not stages:
            raise ValueError(f"before FROM: {line}")
        else:
            _read(stages[-1], word, rest.strip())
    return stages


def substitute(text: str, values: Mapping[str, str]) -> str:
    """`text` with $NAME and ${NAME} replaced; those without a value are empty."""
    return _VARIABLE.sub(lambda match: values.get(match[1] or match[2], ""), text)


def _instructions(text: str) -> list[str]:
    """Lines without comments, each with those that a backslash adds to it."""
    lines: list[str] = []
    continued = False
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        lines[-1:] = [f"{lines[-1]} {line}"] if continued else [*lines[-1:], line]
        continued = line.endswith("\\")
        if continued:
            lines[-1] = lines[-1].removesuffix("\\").rstrip()
    return lines


def _stage(words: list[str]) -> Stage:
    match words:
        case [base]:
            return Stage(base, None)
        case [base, "AS", name]:
            return Stage(base, name)
    raise ValueError(f"FROM {' '.join(words)}")


def _read(stage: Stage, word: str, rest: str) -> None:
    flags, rest = _flags(rest)
    if word == "RUN" and stage.user is not None:
        raise ValueError("not known here: RUN after USER")
    if word in _STEPS and flags.keys() <= ({"from"} if word == "COPY" else set()):
        stage.steps.append(_STEPS[word](rest, flags))
    elif word == "HEALTHCHECK":
        stage.health = json.loads(rest.removeprefix("CMD "))
    elif word == "ENTRYPOINT":
        stage.entrypoint = json.loads(rest)
    elif word == "CMD":
        stage.command = json.loads(rest)
    elif word == "USER":
        stage.user = rest
    elif word == "EXPOSE":
        stage.ports = rest.split()
    else:
        raise ValueError(f"not known here: {word} {flags}")


def _copy(rest: str, flags: Mapping[str, str]) -> Copy:
    *sources, target = shlex.split(rest)
    return Copy(tuple(sources), target, flags.get("from"))


def _argument(rest: str, _flags: Mapping[str, str]) -> Argument:
    name, has_default, default = rest.partition("=")
    return Argument(name, default if has_default else None)


_STEPS: dict[str, Callable[[str, Mapping[str, str]], Step]] = {
    "RUN": lambda rest, _flags: Run(rest),
    "COPY": _copy,
    "ARG": _argument,
    "ENV": lambda rest, _flags: Environment(dict(pair.split("=", 1) for pair in shlex.split(rest))),
    "WORKDIR": lambda rest, _flags: Workdir(rest),
}


def _flags(rest: str) -> tuple[dict[str, str], str]:
    flags: dict[str, str] = {}
    while match := _FLAG.match(rest):
        flags[match[1]] = match[2] or ""
        rest = rest[match.end() :]
    return flags, rest


class Context:
    """The files that a build may copy: those of a folder that its .dockerignore leaves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        lines = (folder / ".dockerignore").read_text().splitlines()
        self._rules = [_rule(line.strip()) for line in lines if line.strip() and not line.startswith("#")]

    def files(self, source: str) -> list[PurePosixPath]:
        """Below `source`, a file or a folder, relative to the context. Raises FileNotFoundError when there are none."""
        start = self.folder / source
        every = [start] if start.is_file() else sorted(path for path in start.rglob("*") if path.is_file())
        found = [PurePosixPath(path.relative_to(self.folder)) for path in every]
        kept = [path for path in found if self.holds(path)]
        if not kept:
            raise FileNotFoundError(f"{source} is not in the build's context")
        return kept

    def holds(self, path: PurePosixPath) -> bool:
        """Whether this path is sent to the build: the last rule that fits it, or a folder above it, decides."""
        held = True
        for pattern, included in self._rules:
            if pattern.fullmatch(str(path)):
                held = included
        return held


def _rule(line: str) -> tuple[re.Pattern[str], bool]:
    included = line.startswith("!")
    parts = re.split(r"(\*\*/|\*)", line.removeprefix("!").strip("/"))
    known = {"**/": "(?:.*/)?", "*": "[^/]*"}
    return re.compile("".join(known.get(part) or re.escape(part) for part in parts) + "(?:/.*)?"), included
