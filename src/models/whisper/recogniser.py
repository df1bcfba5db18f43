"""Windows of sound to text: mel spectrogram, encoder, language, decoding with its fall-backs, and times."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from whisper.audio import HOP_LENGTH, N_FFT, N_FRAMES, SAMPLE_RATE, log_mel_spectrogram

from src.domain.audio import Samples
from src.domain.speech import Quality, Segment
from src.models.processor import give_back_freed
from src.models.whisper import checkpoint
from src.models.whisper.decoding import Decoded, Decoder
from src.models.whisper.network import Network, Precision
from src.models.whisper.segments import timed_segments

FULL_CONTEXT: int = N_FRAMES // 2
"""Encoder frames of 20 ms that Whisper was trained with, whatever the clip's length."""

_FRAMES_PER_SECOND = 50
_SPARE_FRAMES = 128
"""Behind the speech in a shortened context: about what the network needs to notice the end."""
_CONTEXT_STEP = 64
"""Contexts are rounded up to this, so that windows of about one length share a batch."""
_TOKENS_PER_SECOND, _TOKENS_AT_LEAST = 20, 32
"""More than anyone speaks: ends a loop of a shortened context early."""
_MOST_TOKENS = 224
"""Half of the decoder's context, as openai-whisper."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to decode. Those windows that fail go on to the next attempt; the best one stands."""

    temperature: float = 0.0
    beams: int | None = None
    short: bool = False


_WARMER = tuple(Attempt(temperature=t) for t in (0.2, 0.4, 0.6, 0.8, 1.0))
ATTEMPTS: dict[Quality, tuple[Attempt, ...]] = {
    Quality.FAST: (Attempt(short=True), Attempt()),
    Quality.BALANCED: (Attempt(), *_WARMER),
    Quality.HIGH: (Attempt(beams=5), *_WARMER),
}


@dataclass(slots=True, eq=False)
class Window:
    """Up to 30 s of sound. `mel` [n_mels, frames of 10 ms], unpadded. Encoded once per context."""

    mel: Tensor
    features: dict[int, Tensor] = field(default_factory=dict)  # by context: [context, d]

    @property
    def seconds(self) -> float:
        return float(self.mel.shape[1] * HOP_LENGTH / SAMPLE_RATE)

    def context(self, *, short: bool) -> int:
        """Encoder frames to use: those of the clip and 128 more, or all."""
        if not short:
            return FULL_CONTEXT
        frames = -(-self.mel.shape[1] // 2) + _SPARE_FRAMES
        return min(FULL_CONTEXT, -(-frames // _CONTEXT_STEP) * _CONTEXT_STEP)


class Recogniser:
    """One Whisper network on one device. `batch`: windows that may go through it together."""

    def __init__(self, weights: Path, device: torch.device, precision: Precision, batch: int) -> None:
        model = checkpoint.load(weights)
        self.network = Network(model, device, precision)
        self.batch = batch
        self.decoder = Decoder(model.to("meta"), self.network)
        give_back_freed()  # the weights as they were read

    @property
    def multilingual(self) -> bool:
        return bool(self.network.dims.n_vocab >= 51865)

    def window(self, samples: Samples) -> Window:
        """float32 [n] at 16 kHz, at most 30 s. The spectrogram is what `whisper.transcribe` cuts out of its own."""
        frames = min(len(samples) // HOP_LENGTH, N_FRAMES)
        mel = log_mel_spectrogram(torch.from_numpy(samples), self.network.dims.n_mels, padding=N_FFT)
        return Window(mel[:, :frames])

    @staticmethod
    def attempts(quality: Quality) -> tuple[Attempt, ...]:
        """How a window is decoded, one after the other while it fails."""
        return ATTEMPTS[quality]

    def languages(self, windows: Sequence[Window], *, short: bool) -> list[dict[str, float]]:
        """For each window the probability of each language that Whisper knows, by code. They share a context."""
        return self.decoder.languages(self.encoded(windows, short=short))

    def languages_within(
        self, window: Window, spans: Sequence[tuple[float, float]], *, short: bool
    ) -> list[dict[str, float]]:
        """As `languages`, for spans (begin, end) in seconds of one window, from what is encoded of the whole of it."""
        features = self.encoded([window], short=short)
        frames = [(round(begin * _FRAMES_PER_SECOND), round(end * _FRAMES_PER_SECOND)) for begin, end in spans]
        return [self.decoder.languages(features[:, first : max(last, first + 1)])[0] for first, last in frames]

    def attempt(self, windows: Sequence[Window], language: str, attempt: Attempt, prompt: str = "") -> list[Decoded]:
        """The text of windows that share a context, all in one language, each as if `prompt` went before it."""
        return self.decoder.decode(
            self.encoded(windows, short=attempt.short),
            language,
            temperature=attempt.temperature,
            beams=attempt.beams,
            max_tokens=_token_limit(windows[0]) if attempt.short else None,
            prompt=prompt,
        )

    def segments(self, window: Window, decoded: Decoded, language: str) -> list[Segment]:
        """The text with times from the window's start."""
        features = window.features[max(window.features)]
        tokenizer = self.decoder.tokenizer(language)
        return timed_segments(self.network, tokenizer, decoded.tokens, features[None], window.seconds)

    def encoded(self, windows: Sequence[Window], *, short: bool) -> Tensor:
        """Features [B, context, d] of windows that share a context: encoded now, unless they are already."""
        context = windows[0].context(short=short)
        fresh = [window for window in windows if context not in window.features]
        if fresh:
            mel = torch.stack([functional.pad(window.mel, (0, 2 * context - window.mel.shape[1])) for window in fresh])
            for window, features in zip(fresh, self.network.encode(mel), strict=True):
                window.features[context] = features
        return torch.stack([window.features[context] for window in windows])


def _token_limit(window: Window) -> int:
    """Tokens that a shortened context may give, by the clip's length in whole context steps: equal in a batch."""
    seconds = (window.context(short=True) - _SPARE_FRAMES) / _FRAMES_PER_SECOND
    return min(_MOST_TOKENS, _TOKENS_AT_LEAST + int(_TOKENS_PER_SECOND * seconds))
