"""Every answer is marked as synthetic; and what marks a file has."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from src.domain.audio import AnswerFormat, Audio, AudioFormat
from src.domain.jobs import now
from src.domain.ports import FileDecoder
from src.domain.provenance import (
    SYNTHETIC_SOURCE,
    C2paFinding,
    Detection,
    FileMarkReader,
    FileMarks,
    InfoMark,
    ManifestSigner,
    Mark,
    MarkedFile,
    MarkReader,
    TagMark,
    Trust,
    Watermark,
    WatermarkFinding,
    WatermarkMark,
)
from src.utils.audio import encode_wav
from src.utils.audio_formats import check_format
from src.utils.encoding import encode_as

WithInfo = Callable[[bytes, datetime], tuple[bytes, InfoMark]]
"""The file with its INFO list, and that as a mark."""

SYNTHETIC_COMMENT = f"Synthetic speech ({SYNTHETIC_SOURCE})"
"""The tag of files that are no WAV."""

_SOURCES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_SYNTHETIC = frozenset(
    {
        SYNTHETIC_SOURCE,
        *(
            _SOURCES + name
            for name in ("algorithmicMedia", "compositeSynthetic", "compositeWithTrainedAlgorithmicMedia")
        ),
    }
)
_RECORDED = frozenset({_SOURCES + name for name in ("digitalCapture", "computationalCapture", "negativeFilm")})


class Marking:
    """No mark is left out: when one cannot be made, the answer is not given, and the error says to try again."""

    def __init__(self, signer: ManifestSigner, with_info: WithInfo, watermark: Watermark | None) -> None:
        self._signer = signer
        self._with_info = with_info
        self._watermark = watermark

    @property
    def names(self) -> tuple[str, ...]:
        """The marks that every answer gets."""
        watermark = () if self._watermark is None else (f"watermark: {self._watermark.name}",)
        return (*watermark, "riff_info", f"c2pa: {self._signer.name}")

    async def watermarked(self, audio: Audio) -> Audio:
        """The first mark, in the samples. Raises Overloaded, EngineUnavailable, DeadlineExceeded."""
        return audio if self._watermark is None else await self._watermark.embed(audio)

    async def file_of(self, watermarked: Audio, kind: AnswerFormat = AnswerFormat.WAV) -> MarkedFile:
        """A file as answers have it. Raises Overloaded, EngineUnavailable, DeadlineExceeded."""
        at, marks = now(), list[Mark]()
        if self._watermark is not None:
            marks.append(WatermarkMark(self._watermark.name, self._watermark.message))
        # 2. In the file.
        file, words = await asyncio.to_thread(self._encoded, watermarked, kind, at)
        marks.append(words)
        # 3. Over all of it, so last; Ogg has no place for it.
        if kind is AnswerFormat.OPUS:
            return MarkedFile(file, tuple(marks))
        signed = await self._signer.sign(file, at, kind)
        return MarkedFile(signed.data, (*marks, *signed.marks))

    def _encoded(self, audio: Audio, kind: AnswerFormat, at: datetime) -> tuple[bytes, Mark]:
        if kind is AnswerFormat.WAV:
            return self._with_info(encode_wav(audio), at)
        return encode_as(audio, kind, SYNTHETIC_COMMENT), TagMark(SYNTHETIC_COMMENT)


class MarkProcessing:
    """Runs in the decoder's child process. `decoder` takes files of any length up to the limit."""

    def __init__(self, decoder: FileDecoder, reader: FileMarkReader) -> None:
        self._decoder = decoder
        self._reader = reader

    def read(self, data: bytes, declared: AudioFormat, trust: Trust, *, with_audio: bool) -> FileMarks:
        """Raises what `domain.provenance.MarkReader.read_marks` raises."""
        recording, kind = self._decoder.decode(data, declared), check_format(data, declared)
        manifest, info = self._reader.c2pa(data, kind, trust), self._reader.info(data, kind)
        return FileMarks(manifest, info, recording.seconds, recording.mixed if with_audio else None)


class MarkDetection:
    def __init__(self, reader: MarkReader, trust: Trust, watermark: Watermark | None) -> None:
        self._reader = reader
        self._trust = trust
        self._watermark = watermark

    async def detect(self, data: bytes, declared: AudioFormat) -> Detection:
        """Raises what the reader raises, Overloaded, EngineUnavailable, DeadlineExceeded."""
        read = await self._reader.read_marks(data, declared, self._trust, with_audio=self._watermark is not None)
        heard = None
        if self._watermark is not None and read.audio is not None:
            heard = await self._watermark.detect(read.audio)
        synthetic, reason = _judge(read, heard)
        return Detection(read.c2pa, read.info, heard, synthetic, reason, read.duration_seconds)


@dataclass(frozen=True, slots=True)
class Marks:
    """Marks as answers get them, and as files are searched for them."""

    marking: Marking
    detection: MarkDetection


def _judge(read: FileMarks, heard: WatermarkFinding | None) -> tuple[bool | None, str]:
    """Whether the sound is synthetic, as far as the marks prove it, and why."""
    if read.c2pa.trusted and read.c2pa.source_type in _SYNTHETIC:
        whose = "this deployment's own" if read.c2pa.ours else "from an issuer that this deployment trusts"
        return True, f"A valid C2PA manifest says so; its certificate is {whose}."
    if heard is not None and heard.found:
        return True, f"The watermark of {heard.model} was found in the sound."
    if read.c2pa.trusted and read.c2pa.source_type in _RECORDED:
        return False, "A valid C2PA manifest, from an issuer that this deployment trusts, says that it was recorded."
    if read.c2pa.found:
        return None, _doubt(read.c2pa)
    if read.info.found:
        return None, "The file's INFO list says that it is synthetic, but anyone can write that; there is no proof."
    looked = "no mark" if heard is not None else "no mark, and the sound was not searched for a watermark"
    return None, f"The file has {looked}. That proves nothing: marks are lost when a sound is encoded again."


def _doubt(manifest: C2paFinding) -> str:
    if manifest.changed:
        return "There is a C2PA manifest, but the file or the manifest was changed after it was signed."
    if not manifest.valid:
        return "There is a C2PA manifest, but it is not valid; `statuses` say why."
    if not manifest.trusted:
        return "There is a valid C2PA manifest, but its signer is not known here: anyone can sign with an own name."
    return "There is a valid C2PA manifest, but it does not say how the sound came about."
