"""Tokens from encoded windows: openai-whisper's own decoding task over the network with static caches."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from whisper.decoding import BeamSearchDecoder, DecodingOptions, DecodingTask, Inference
from whisper.tokenizer import Tokenizer, get_tokenizer

from src.models.whisper.network import Listening, Network

_LETTERS_A_SECOND = 25.0
"""More than anyone says in any language: a text that is longer was not said."""
_SEED = 0
"""Of sampling at temperatures above 0: the same recording gives the same text."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """The text of one window: tokens with timestamps, the mean log-probability of each, and what tells a failure."""

    tokens: tuple[int, ...]
    text: str
    log_probability: float
    no_speech_probability: float
    compression_ratio: float
    ended: bool  # with an end token, not at the limit
    really_repeated: bool = False

    @property
    def silent(self) -> bool:
        """Nobody spoke, by openai-whisper's rule."""
        return self.no_speech_probability > 0.6 and self.improbable

    @property
    def improbable(self) -> bool:
        return self.log_probability < -1.0

    @property
    def failed(self) -> bool:
        """Looping, improbable, or without an end: by openai-whisper's rule worth another attempt."""
        return not self.silent and (self.looping or self.improbable or not self.ended)

    @property
    def looping(self) -> bool:
        """It repeats itself, and nobody did."""
        return self.compression_ratio > 2.4 and not self.really_repeated

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """Of two attempts the one with the higher rank is nearer to what was said."""
        return not self.looping, self.ended, self.log_probability

    def judged(self, speech_seconds: float) -> "Decoded":
        """With `really_repeated` set: a text that is likely, comes to an end, and is as long as the speech."""
        rate = len(self.text) / max(speech_seconds, 0.1)
        return replace(self, really_repeated=self.ended and self.log_probability > -0.6 and rate <= _LETTERS_A_SECOND)


class _StaticInference(Inference):  # type: ignore[misc]
    """The decoder behind a DecodingTask: whole prompt first, then one token at a time."""

    def __init__(self, network: Network, group: int) -> None:
        self._network, self._group = network, group
        self._listening: Listening | None = None

    def logits(self, tokens: Tensor, audio_features: Tensor) -> Tensor:
        """Tokens [R, n] so far, features [R, T, d] -> float32 [R, new tokens, n_vocab]."""
        if self._listening is None:
            self._listening = self._network.listen(audio_features[:: self._group], self._group)
        return self._listening.step(tokens[:, self._listening.position :])

    def rearrange_kv_cache(self, source_indices: list[int]) -> None:
        if self._listening is not None:
            self._listening.reorder(source_indices)

    def cleanup_caching(self) -> None:
        self._listening = None


class _Task(DecodingTask):  # type: ignore[misc]
    """Stock decoding, rule by rule, of features that are encoded already, at any context, several clips at once."""

    def __init__(self, model: Any, network: Network, options: DecodingOptions) -> None:
        super().__init__(model, options)
        self.inference = _StaticInference(network, self.n_group)
        if isinstance(self.decoder, BeamSearchDecoder):
            self.decoder.inference = self.inference

    def _get_audio_features(self, features: Tensor) -> Tensor:
        """One per hypothesis, as the stock task counts them."""
        return features.repeat_interleave(self.n_group, dim=0)

    def _detect_language(self, audio_features: Tensor, _tokens: Tensor) -> tuple[list[str], None]:
        return [self.options.language or "en"] * (len(audio_features) // self.n_group), None


class Decoder:
    """Decodes with `model`, the stock module, of which only the outline is used; `network` does the work."""

    def __init__(self, model: Any, network: Network) -> None:
        self._model, self._network = model, network

    def tokenizer(self, language: str | None) -> Tokenizer:
        model = self._model
        return get_tokenizer(
            model.is_multilingual, num_languages=model.num_languages, language=language, task="transcribe"
        )

    @torch.inference_mode()
    def languages(self, features: Tensor) -> list[dict[str, float]]:
        """Probability of each of Whisper's languages for each encoded window [B, T, d]."""
        tokenizer = self.tokenizer(None)
        ids = list(tokenizer.all_language_tokens)
        start = torch.full((len(features), 1), tokenizer.sot, device=features.device)
        probabilities = self._network.listen(features).step(start)[:, 0, ids].softmax(dim=-1).cpu()
        return [dict(zip(tokenizer.all_language_codes, row.tolist(), strict=True)) for row in probabilities]

    @torch.inference_mode()
    def decode(
        self,
        features: Tensor,
        language: str,
        *,
        temperature: float = 0.0,
        beams: int | None = None,
        max_tokens: int | None = None,
        prompt: str = "",
        suppressed: tuple[int, ...] = (-1,),
    ) -> list[Decoded]:
        """Windows [B, T, d] in one language. The rules are those of `whisper.decode` with its default options.

        `prompt`: text that stands before. `suppressed`: tokens that are never chosen; -1 stands for openai-whisper's
        own list of what nobody says.
        """
        options = DecodingOptions(
            language=language,
            temperature=temperature,
            beam_size=beams,
            sample_len=max_tokens,
            prompt=prompt or None,
            suppress_tokens=list(suppressed),
            fp16=False,
        )
        task = _Task(self._model, self._network, options)
        with torch.random.fork_rng(enabled=temperature > 0):
            if temperature > 0:
                torch.manual_seed(_SEED)
            return [_decoded(result, task.sample_len) for result in task.run(features)]


def _decoded(result: Any, limit: int) -> Decoded:
    return Decoded(
        tokens=tuple(result.tokens),
        text=result.text,
        log_probability=result.avg_logprob,
        no_speech_probability=result.no_speech_prob,
        compression_ratio=result.compression_ratio,
        ended=len(result.tokens) < limit,
    )
