"""One request on its way through the decode loop: its sentences, and what became of them."""

from collections import deque

import torch
from torch import Tensor

from src.domain.audio import OUTPUT_SAMPLE_RATE
from src.models.xtts.conditioning import Voice
from src.models.xtts.decode_loop import Sentence
from src.models.xtts.guards import Fault, Verdict, judge, max_codes

_RETRY_SEED = 1_000_003
_SILENCE = OUTPUT_SAMPLE_RATE // 5


class Utterance:
    """Used by the thread that steps the loop; `cancel` by any thread.

    guard: sentences that babble are said once more, with other random numbers; of the better attempt what is worth
    hearing is kept.
    """

    def __init__(self, sentences: list[Tensor], voice: Voice, seeds: list[int], stop_code: int, *, guard: bool) -> None:
        self.voice = voice
        self._stop_code, self._guard = stop_code, guard
        self.sentences = [
            Sentence(tokens, voice.latents, seed=seed) for tokens, seed in zip(sentences, seeds, strict=True)
        ]
        self.waiting = deque(self.sentences)
        self._first: dict[int, tuple[Sentence, Verdict]] = {}  # of sentences that are said again, by their index
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
        if not self._guard or self.cancelled:
            return
        index = self.sentences.index(sentence)
        attempt = sentence, judge(sentence.codes, len(sentence.text_tokens), self._stop_code)
        first = self._first.pop(index, None)
        if first is None and attempt[1].fault is not Fault.NONE:
            self._first[index] = attempt
            self._say_again(index)
            return
        best, verdict = attempt if first is None or attempt[1].rank < first[1].rank else first
        _cut(best, verdict.keep)
        self.sentences[index] = best

    def _say_again(self, index: int) -> None:
        said = self.sentences[index]
        again = Sentence(said.text_tokens, said.conditioning, said.seed + _RETRY_SEED, said.max_codes)
        self.sentences[index] = again
        self.waiting.append(again)

    def latents(self, index: int) -> Tensor:
        """[T, D] of the codes that sentence `index` has so far."""
        latents = self.sentences[index].latents
        return self.voice.latents.new_zeros(0, self.voice.latents.shape[-1]) if latents is None else latents


def join(pieces: list[Tensor]) -> Tensor:
    """[samples]; a short silence where there was nothing to say."""
    return torch.cat(pieces) if pieces else torch.zeros(_SILENCE)


def _cut(sentence: Sentence, codes: int) -> None:
    """Forget what comes after the first `codes` codes."""
    if codes < len(sentence.codes):
        del sentence.codes[codes:]
        sentence.latents = None if sentence.latents is None else sentence.latents[:codes]
