"""One request on its way through the decode loop: its sentences, and what became of them."""

from collections import deque

import torch
from torch import Tensor

from src.domain.audio import OUTPUT_SAMPLE_RATE
from src.models.xtts.conditioning import Voice
from src.models.xtts.decode_loop import Sentence
from src.models.xtts.guards import babbles, max_codes

_RETRY_SEED = 1_000_003
_SILENCE = OUTPUT_SAMPLE_RATE // 5


class Utterance:
    """Used by the thread that steps the loop; `cancel` by any thread.

    retry: sentences that babble are said once more, with other random numbers; the better attempt is kept.
    """

    def __init__(self, sentences: list[Tensor], voice: Voice, seeds: list[int], stop_code: int, *, retry: bool) -> None:
        self.voice = voice
        self._stop_code, self._retry = stop_code, retry
        self.sentences = [
            Sentence(tokens, voice.latents, seed=seed) for tokens, seed in zip(sentences, seeds, strict=True)
        ]
        self.waiting = deque(self.sentences)
        self._first: dict[int, Sentence] = {}  # first attempts of sentences that are said again, by their index
        self.pieces: list[Tensor] = []  # [samples] of the first sentences, those that are sound already
        self.cancelled = False

    def limit(self, most: int) -> "Utterance":
        """Bound each sentence by its text."""
        for sentence in self.sentences:
            sentence.max_codes = max_codes(len(sentence.text_tokens), most)
        return self

    def cancel(self) -> None:
        self.cancelled = True
        for sentence in self.sentences:
            sentence.cancelled = True

    @property
    def finished(self) -> bool:
        return self.cancelled or all(sentence.finished for sentence in self.sentences)

    @property
    def sounds(self) -> bool:
        """Whether all of it is sound, or nobody wants it any more."""
        return self.cancelled or len(self.pieces) == len(self.sentences)

    def ended(self, sentence: Sentence) -> None:
        """Look at a sentence that has just ended, and have it said again or choose between its two attempts."""
        index = self.sentences.index(sentence)
        bad = babbles(sentence.codes, self._stop_code)
        first = self._first.pop(index, None)
        if first is not None:
            if bad and len(first.codes) < len(sentence.codes):
                self.sentences[index] = first
            return
        if bad and self._retry and not self.cancelled:
            again = Sentence(
                sentence.text_tokens, sentence.conditioning, sentence.seed + _RETRY_SEED, sentence.max_codes
            )
            self._first[index] = sentence
            self.sentences[index] = again
            self.waiting.append(again)

    def latents(self, index: int) -> Tensor:
        """[T, D] of the codes that sentence `index` has so far."""
        latents = self.sentences[index].latents
        return self.voice.latents.new_zeros(0, self.voice.latents.shape[-1]) if latents is None else latents


def join(pieces: list[Tensor]) -> Tensor:
    """[samples]; a short silence where there was nothing to say."""
    return torch.cat(pieces) if pieces else torch.zeros(_SILENCE)
