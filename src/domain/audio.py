"""Audio as it travels through the service: samples together with their rate."""

import re
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

WORKING_SAMPLE_RATE = 22_050
"""Hz. The rate that decoded input is brought to; XTTS-v2 conditions on it."""

OUTPUT_SAMPLE_RATE = 24_000
"""Hz. The rate of every answer; what XTTS-v2's vocoder produces."""


class AudioFormat(StrEnum):
    """The containers that a caller may send. M4A stands for all of the MP4 family, AAC for frames without a container
    (ADTS), CAF for Apple's, AUTO for whatever the bytes are.
    """

    WAV = "wav"
    MP3 = "mp3"
    M4A = "m4a"
    AAC = "aac"
    FLAC = "flac"
    OGG = "ogg"
    WEBM = "webm"
    AMR = "amr"
    CAF = "caf"
    AUTO = "auto"

    @classmethod
    def of(cls, name: str) -> "AudioFormat":
        """By the names that clients have for it, media types and file names included; no name at all, and media types
        that say nothing, are AUTO. Raises ValueError for an unknown one.
        """
        kind = name.strip().lower().partition(";")[0].strip()
        named = "mp4a" if kind.startswith("mp4a") else kind.rpartition("/")[2].rpartition(".")[2].removeprefix("x-")
        bare = re.sub("[-_+ ]", "", named)
        return cls(_OTHER_NAMES.get(bare, _OTHER_NAMES.get(bare.removesuffix("audio"), bare.removesuffix("audio"))))


_OTHER_NAMES = {
    **dict.fromkeys(("wave", "waveform", "pcmwav", "pnwav", "riff", "rf64", "bwf"), "wav"),
    **dict.fromkeys(("mpeg", "mpg", "mpeg3", "mpga", "mpeglayer3"), "mp3"),
    **dict.fromkeys(("aacp", "adts", "aacadts", "aaclc", "heaac"), "aac"),
    **dict.fromkeys(
        ("mp4", "mp4a", "mp4alatm", "mpeg4", "mpeg4aac", "mpeg4generic", "m4b", "m4p", "m4r", "m4v"), "m4a"
    ),
    **dict.fromkeys(("mov", "quicktime", "qt", "cafm4a", "alac", "isom", "f4a"), "m4a"),
    **dict.fromkeys(("3gp", "3gpp", "3gpp2", "3g2", "3ga", "threegpp"), "m4a"),
    **dict.fromkeys(("opus", "oga", "oggopus", "opusogg", "vorbis", "oggvorbis"), "ogg"),
    **dict.fromkeys(("weba", "webmopus", "matroska", "mkv", "mka"), "webm"),
    **dict.fromkeys(("amrwb", "amrnb", "awb"), "amr"),
    **dict.fromkeys(("caff", "coreaudio", "coreaudioformat"), "caf"),
    **dict.fromkeys(("", "*", "octetstream"), "auto"),
}
"""Of those, without marks between letters, that the members themselves are not."""


class AnswerFormat(StrEnum):
    """The files that answers are; Opus lies in Ogg."""

    WAV = "wav"
    MP3 = "mp3"
    OPUS = "opus"
    FLAC = "flac"

    @property
    def media_type(self) -> str:
        return {self.MP3: "audio/mpeg", self.OPUS: "audio/ogg"}.get(self, f"audio/{self.value}")


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """Mono sound: `samples` float32 [T] in [-1, 1] at `sample_rate` Hz."""

    samples: Samples
    sample_rate: int

    @property
    def duration_seconds(self) -> float:
        return len(self.samples) / self.sample_rate


@dataclass(frozen=True, slots=True, eq=False)
class SpokenAudio(Audio):
    """Speech of several texts. `seconds`: how much sound there is of each, without silence."""

    seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A decoded file: `channels` float32 [C, T], C 1 or 2, at `sample_rate` Hz.

    `seconds` is what was decoded. `notes` are sentences for the caller: what was damaged, or cut off.
    """

    channels: Samples
    sample_rate: int
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def mixed(self) -> Audio:
        """All channels as one."""
        return Audio(self.channels.mean(axis=0), self.sample_rate)
