"""What the engines hear, translate and say. Times are seconds from the start of the audio that the engine was given."""

import math
from dataclasses import dataclass, field
from enum import StrEnum

from src.domain.audio import Audio, Samples
from src.domain.languages import joined


class Quality(StrEnum):
    """How much time an engine may spend for a better result."""

    FAST = "fast"
    BALANCED = "balanced"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Hints:
    """What helps to hear. `languages`: what is spoken is one of these; none: any. `prompt`: names and rare words."""

    languages: tuple[str, ...] = ()
    prompt: str = ""


NO_HINTS = Hints()


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    start: float
    end: float
    confidence: float  # 0..1


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech between two pauses: about a sentence. `language` None: the transcript's."""

    text: str
    start: float
    end: float
    words: tuple[Word, ...] = ()
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said. `language_probability` is None when the engine did not detect the language but assumed it.

    `language`: the one that most of it is in. `unheard`: stretches (begin, end) of speech in which no word could be
    made out. `sounds_like`: the language that is plainly spoken instead of the one that the caller named; `foreign`:
    stretches (begin, end, language) that are in another one. `alternatives`: the likeliest languages with their
    probabilities, where one was detected for all.
    """

    segments: tuple[Segment, ...]
    language: str
    language_probability: float | None
    confidence: float  # 0..1, over all words
    unheard: tuple[tuple[float, float], ...] = ()
    sounds_like: str | None = None
    foreign: tuple[tuple[float, float, str], ...] = ()
    alternatives: tuple[tuple[str, float], ...] = ()

    @property
    def text(self) -> str:
        return joined(self.texts, self.language)

    @property
    def texts(self) -> tuple[str, ...]:
        """Of each segment."""
        return tuple(segment.text for segment in self.segments)

    @property
    def spoken_in(self) -> tuple[str, ...]:
        """The language of each segment."""
        return tuple(segment.language or self.language for segment in self.segments)


ACTIVITY_SECONDS = 0.032
"""What one probability of `Activity` stands for."""


@dataclass(frozen=True, slots=True, eq=False)
class Activity:
    """How likely it is that somebody speaks: `probabilities` float32 [n], one for each 32 ms. `state`: what the
    detector is to be given with the sound that follows.
    """

    probabilities: Samples
    state: tuple[Samples, ...]


class Formality(StrEnum):
    """How a text addresses its reader, in DeepL's names. DEFAULT: as the language's speakers mostly do."""

    DEFAULT = "default"
    MORE = "more"
    LESS = "less"
    PREFER_MORE = "prefer_more"
    PREFER_LESS = "prefer_less"


@dataclass(frozen=True, slots=True)
class Wording:
    """How a message shall be translated, beside into which language. None: as the engine is configured.

    `target_variant` is one of `domain.languages.VARIANTS`. `glossary_id` is the provider's own. `context` is text in
    the source language that is not translated itself and helps to choose between meanings.
    """

    target_variant: str | None = None
    formality: Formality | None = None
    glossary_id: str | None = None
    context: str | None = None

    @property
    def asked(self) -> tuple[str, ...]:
        """The names of the fields that ask for something."""
        formality = None if self.formality is Formality.DEFAULT else self.formality
        given = {
            "target_variant": self.target_variant,
            "formality": formality,
            "glossary_id": self.glossary_id,
            "context": self.context,
        }
        return tuple(name for name, value in given.items() if value)


AS_CONFIGURED = Wording()


@dataclass(frozen=True, slots=True)
class Translation:
    """`texts` are aligned one to one with the texts given. `route` is the languages passed through, ends included.

    `target_variant`: the variant of the target that the texts are in, where the engine tells variants apart.
    """

    texts: tuple[str, ...]
    engine: str
    route: tuple[str, ...]
    degraded: tuple[str, ...] = ()
    target_variant: str | None = None


class VoiceType(StrEnum):
    """Classes of median pitch, as the mobile clients know them."""

    LOW = "low"
    MEDIUM = "medium"
    MEDIUM_HIGH = "medium_high"
    HIGH = "high"

    @classmethod
    def of_pitch(cls, pitch_hz: float) -> "VoiceType":
        """Below 100 Hz low, below 150 medium, below 200 medium high, else high."""
        for limit, voice_type in ((100, cls.LOW), (150, cls.MEDIUM), (200, cls.MEDIUM_HIGH)):
            if pitch_hz < limit:
                return voice_type
        return cls.HIGH


@dataclass(frozen=True, slots=True)
class VoicePrint:
    """A measured voice.

    `embedding` [256] is a unit vector of a speaker-verification model, `pitch_hz` the median fundamental frequency of
    voiced
    frames, `brightness` the spectral centroid of voiced frames divided by half the sample rate at 16 kHz (0..1), and
    `timbre` [12] the mean mel-cepstrum of voiced frames without its energy term.
    """

    embedding: tuple[float, ...]
    pitch_hz: float
    brightness: float
    timbre: tuple[float, ...]

    @property
    def voice_type(self) -> VoiceType:
        return VoiceType.of_pitch(self.pitch_hz)


@dataclass(frozen=True, slots=True)
class VoiceMatch:
    """How near the spoken answer is to the reference voice: each 0 (unlike) to 1 (alike).

    `heard`: share of the text's words that a recogniser hears in the answer; None: nobody listened.
    """

    similarity: float
    pitch_agreement: float
    timbre_agreement: float
    heard: float | None = None


@dataclass(frozen=True, slots=True)
class VoiceConditioning:
    """What a voice engine needs of a reference recording to speak in its voice: bytes that only `engine` can read."""

    engine: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class SpeechRequest:
    """Sentences to say in `language` with the voice of `voice`, and the melody of `prosody` when given.

    `candidate`: 0 or more. An engine that varies says each candidate in another way, and the same one in the same way.
    `speaker`: the voice's speaker embedding (`VoicePrint.embedding`), for an engine that has several voices to begin
    with; empty: not measured.
    """

    texts: tuple[str, ...]
    language: str
    voice: VoiceConditioning
    prosody: VoiceConditioning | None = None
    quality: Quality = Quality.BALANCED
    candidate: int = 0
    speaker: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class DecodedSpeech:
    """Input audio made ready: 22 050 Hz mono, trimmed to speech, peak at -3 dB.

    `source_duration_seconds` is before trimming, `offset_seconds` how much was cut at the start. `notes` are sentences
    for `degraded`: what of the recording could not be used. `stretches` (begin, end) of `audio`, in seconds, are those
    in which somebody speaks; none are given for what is so short that it is heard at once.
    """

    audio: Audio
    source_duration_seconds: float
    offset_seconds: float
    notes: tuple[str, ...] = ()
    stretches: tuple[tuple[float, float], ...] = ()


def compare(reference: VoicePrint, output: VoicePrint) -> VoiceMatch:
    """How alike two voices are.

    similarity: cosine of the embeddings, negative ones as 0. pitch_agreement: 1 for the same median pitch, falling in a
    straight line over log frequency to 0 at an octave. timbre_agreement: 1 / (1 + d), d the root mean square
    difference of
    the timbre coefficients.
    """
    cosine = sum(a * b for a, b in zip(reference.embedding, output.embedding, strict=True))
    octaves = (
        abs(math.log2(output.pitch_hz / reference.pitch_hz)) if min(output.pitch_hz, reference.pitch_hz) > 0 else 1.0
    )
    squares = [(a - b) ** 2 for a, b in zip(reference.timbre, output.timbre, strict=True)]
    distance = math.sqrt(sum(squares) / len(squares)) if squares else 0.0
    return VoiceMatch(min(1.0, max(0.0, cosine)), max(0.0, 1.0 - octaves), 1.0 / (1.0 + distance))
