"""Marks that say that a sound is synthetic: which were put on an answer, and which were found on a file.

A mark of a kind that this release does not know, in a row that a later one wrote, is left out when it is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from src.domain.audio import AnswerFormat, Audio, AudioFormat

SYNTHETIC_SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's digital source type of what a trained model made; the value that readers of C2PA show as made by AI."""


@dataclass(frozen=True, slots=True)
class C2paMark:
    """A signed manifest in the file. `manifest` is its URN, `signer` the name in its certificate.

    `self_signed`: the service made the certificate itself, so that nobody but this service knows it.
    """

    manifest: str
    signer: str
    self_signed: bool
    kind: str = "c2pa"


@dataclass(frozen=True, slots=True)
class InfoMark:
    """Words in a RIFF INFO list, by the four letters of their field."""

    fields: Mapping[str, str]
    kind: str = "riff_info"


@dataclass(frozen=True, slots=True)
class WatermarkMark:
    """An inaudible watermark. `message` is its 16 bits as four hexadecimal digits; they name the deployment."""

    model: str
    message: str
    kind: str = "watermark"


@dataclass(frozen=True, slots=True)
class TagMark:
    """Words in the comment of a file that is no WAV."""

    comment: str
    kind: str = "tag"


Mark = C2paMark | InfoMark | TagMark | WatermarkMark

_KINDS: dict[str, type[Mark]] = {"c2pa": C2paMark, "riff_info": InfoMark, "tag": TagMark, "watermark": WatermarkMark}


def marks_from_json(values: list[dict[str, Any]] | None) -> tuple[Mark, ...]:
    """None: an answer of an earlier release, which has no marks."""
    known = [value for value in values or [] if value["kind"] in _KINDS]
    return tuple(_KINDS[value["kind"]](**value) for value in known)


@dataclass(frozen=True, slots=True)
class MarkedFile:
    """A file, and the marks that are really in it."""

    data: bytes
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class C2paFinding:
    """What a file's manifest is worth.

    `valid`: the signature is right, and the file is as it was when it was signed. `trusted`: valid, and the certificate
    is this deployment's own (`ours`) or has a known issuer. `changed`: the file, or the manifest, is not as it was
    signed. `source_type`: what the manifest says of the sound's origin. `statuses` are the codes of the C2PA
    specification for every check, failed ones first. Names and times are the manifest's own words.
    """

    found: bool
    valid: bool = False
    trusted: bool = False
    ours: bool = False
    changed: bool = False
    manifest: str | None = None
    signer: str | None = None
    issued_at: str | None = None
    software: str | None = None
    source_type: str | None = None
    statuses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InfoFinding:
    """`found`: the INFO list says, as this service's answers do, that the speech is synthetic. Anyone can write it."""

    found: bool
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class WatermarkFinding:
    """`probability`: the share of the sound that has the watermark. `ours`: its message is this deployment's."""

    model: str
    probability: float
    message: str
    ours: bool

    @property
    def found(self) -> bool:
        return self.probability >= 0.5


@dataclass(frozen=True, slots=True, eq=False)
class FileMarks:
    """What stands in a file. `audio`: its sound, where it was asked for."""

    c2pa: C2paFinding
    info: InfoFinding
    duration_seconds: float
    audio: Audio | None


@dataclass(frozen=True, slots=True)
class Detection:
    """What was found. `synthetic` None: it cannot be told; `reason` says why. `watermark` None: not looked for."""

    c2pa: C2paFinding
    info: InfoFinding
    watermark: WatermarkFinding | None
    synthetic: bool | None
    reason: str
    duration_seconds: float


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose manifests count. `own_anchor`: PEM of the certificate at the top of this deployment's own chain, and
    `own_serial` the number of the one that signs. `anchors`: PEM of other issuers to trust; empty: none.
    """

    own_anchor: str
    own_serial: int
    anchors: str = ""


class ManifestSigner(Protocol):
    """Puts a C2PA manifest into a file."""

    @property
    def name(self) -> str:
        """As /health names the mark."""

    async def sign(self, file: bytes, at: datetime, kind: AnswerFormat) -> MarkedFile:
        """The same sound, and the same file before the manifest. Not for Opus, in which C2PA has no place for one.
        Raises EngineUnavailable, DeadlineExceeded.
        """


class Watermark(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def message(self) -> str:
        """This deployment's, as `WatermarkMark` has it."""

    async def embed(self, audio: Audio) -> Audio:
        """The same sound with the watermark in it. Raises Overloaded, EngineUnavailable, DeadlineExceeded."""

    async def detect(self, audio: Audio) -> WatermarkFinding:
        """Raises the same."""


class MarkReader(Protocol):
    """Reads untrusted files, elsewhere."""

    async def read_marks(self, data: bytes, declared: AudioFormat, trust: Trust, *, with_audio: bool) -> FileMarks:
        """Raises what `domain.ports.AudioDecoder.decode` raises, but NoSpeechDetected and AudioTooShort."""


class FileMarkReader(Protocol):
    """The same inside of the decoder's child process, where it may block."""

    def c2pa(self, data: bytes, declared: AudioFormat, trust: Trust) -> C2paFinding: ...

    def info(self, data: bytes, declared: AudioFormat) -> InfoFinding: ...
