"""Segments and words of a decoded window, with times in seconds from the window's start."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from whisper.audio import TOKENS_PER_SECOND
from whisper.timing import WordTiming, median_filter, merge_punctuations
from whisper.tokenizer import Tokenizer

from src.domain.speech import Segment, Word
from src.models.whisper.network import Network

_MEDIAN_FRAMES = 7
_OPENING, _CLOSING = "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、"
_SHORTEST_WORD_SECONDS = 0.02
_FAR_SECONDS = 0.5

Matrix = NDArray[np.float64]


@dataclass(slots=True)
class Passage:
    """Text tokens between two timestamps."""

    start: float
    end: float
    tokens: list[int] = field(default_factory=list)


def passages(tokens: Sequence[int], tokenizer: Tokenizer, duration: float) -> list[Passage]:
    """Split at the timestamps. Text that no timestamp ends goes to the end of the window, `duration` seconds."""
    found: list[Passage] = []
    current = Passage(0.0, duration)
    for token in tokens:
        if token < tokenizer.eot:
            current.tokens.append(token)
        elif token >= tokenizer.timestamp_begin:
            time = min(duration, (token - tokenizer.timestamp_begin) / TOKENS_PER_SECOND)
            if current.tokens:
                current.end = max(time, current.start)
                found.append(current)
            current = Passage(time, duration)
    return [*found, current] if current.tokens else found


def timed_segments(
    network: Network, tokenizer: Tokenizer, decoded: Sequence[int], features: Tensor, duration: float
) -> list[Segment]:
    """The window's segments with word times, from how cross-attention follows the speech (as `whisper.timing`)."""
    parts = passages(decoded, tokenizer, duration)
    words = word_timings(
        network, tokenizer, [token for part in parts for token in part.tokens], features, round(duration * 100)
    )
    segments, taken = [], 0
    for part in parts:
        count, mine = 0, []
        while taken < len(words) and count < len(part.tokens):
            mine.append(words[taken])
            count += len(words[taken].tokens)
            taken += 1
        text = tokenizer.decode(part.tokens).strip()
        if text:
            segments.append(_segment(text, part, _words(mine, part)))
    return segments


def _segment(text: str, part: Passage, words: list[Word]) -> Segment:
    if not words:
        return Segment(text, part.start, part.end)
    return Segment(text, words[0].start, words[-1].end, tuple(words))


def _words(timings: list[WordTiming], part: Passage) -> list[Word]:
    """In order, none without length, none of punctuation alone (French writes a space before a question mark)."""
    words: list[Word] = []
    earliest = 0.0
    for timing in timings:
        start = max(float(timing.start), earliest)
        end = max(float(timing.end), start + _SHORTEST_WORD_SECONDS)
        if words and not any(letter.isalnum() for letter in timing.word):
            words[-1] = replace(words[-1], text=words[-1].text + timing.word.rstrip())
            continue
        words.append(Word(timing.word.strip(), start, end, min(1.0, max(0.0, float(timing.probability)))))
        earliest = end
    if not words:
        return words
    heard = min(words[-1].end, part.end) - max(words[0].start, part.start)
    return _within(words, part) if heard >= (part.end - part.start) / 2 else _spread(words, part)


def _spread(words: list[Word], part: Passage) -> list[Word]:
    """Over the segment's own times, by length: attention did not follow the speech, or words would cover half of it."""
    ends = np.cumsum([len(word.text) + 1 for word in words])
    times = part.start + (part.end - part.start) * np.concatenate(([0.0], ends / ends[-1]))
    return [replace(word, start=float(a), end=float(b)) for word, (a, b) in zip(words, pairwise(times), strict=True)]


def _within(words: list[Word], part: Passage) -> list[Word]:
    """As openai-whisper: a first or last word that reaches half a second beyond the segment is cut."""
    usual = min(0.7, float(np.median([word.end - word.start for word in words])))
    first, last = words[0], words[-1]
    if first.start + _FAR_SECONDS < part.start < first.end:
        words[0] = replace(first, start=max(first.start, min(first.end - usual, part.start)))
    if last.start < part.end < last.end - _FAR_SECONDS:
        words[-1] = replace(words[-1], end=max(words[-1].start + usual, part.end))
    return words


def word_timings(
    network: Network, tokenizer: Tokenizer, text_tokens: list[int], features: Tensor, frames: int
) -> list[WordTiming]:
    """What `whisper.timing.find_alignment` finds, and its punctuation joined to the words, from features [1, T, d]."""
    if not text_tokens:
        return []
    head = len(tokenizer.sot_sequence)
    tokens = torch.tensor([*tokenizer.sot_sequence, tokenizer.no_timestamps, *text_tokens, tokenizer.eot])
    hidden, scores = network.align(tokens, features)
    probabilities = network.logits(hidden[head : head + len(text_tokens)])[:, : tokenizer.eot].softmax(dim=-1)
    chosen = probabilities[range(len(text_tokens)), text_tokens].tolist()
    rows, columns = warp(-_attention(scores[:, :, : max(1, frames // 2)])[head:-1].double().cpu().numpy())
    words, word_tokens = tokenizer.split_to_word_tokens([*text_tokens, tokenizer.eot])
    bounds = np.concatenate(([0], np.cumsum([len(group) for group in word_tokens[:-1]])))
    times = columns[np.concatenate(([True], np.diff(rows) > 0))] / TOKENS_PER_SECOND
    timings = [
        WordTiming(word, group, times[first], times[last], float(np.mean(chosen[first:last])))
        for word, group, (first, last) in zip(words, word_tokens, pairwise(bounds), strict=False)
    ]
    merge_punctuations(timings, _OPENING, _CLOSING)
    return [timing for timing in timings if timing.tokens]


def _attention(scores: Tensor) -> Tensor:
    """[heads, n, T] -> [n, T]: how much each token stands out at each frame."""
    weights = scores.softmax(dim=-1)
    deviation, mean = torch.std_mean(weights, dim=-2, keepdim=True, unbiased=False)
    filtered: Tensor = median_filter((weights - mean) / deviation, _MEDIAN_FRAMES)
    return filtered.mean(dim=0)


def warp(cost: Matrix) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The cheapest path through `cost` [n, T] from corner to corner, as its row and column indices.

    The best of a row's cells, entered from above and gone on to the right, is a running minimum over cumulated cost, so
    that a row is one numpy operation where `whisper.timing` compiles a loop.
    """
    height, width = cost.shape
    total = np.full((height + 1, width + 1), np.inf)
    total[0, 0] = 0.0
    for i in range(1, height + 1):
        along = np.cumsum(cost[i - 1])
        entered = np.minimum(total[i - 1, :-1], total[i - 1, 1:]) + cost[i - 1]
        total[i, 1:] = np.minimum.accumulate(entered - along) + along
    return _backtrace(total)


def _backtrace(total: Matrix) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    i, j = total.shape[0] - 1, total.shape[1] - 1
    path = [(i - 1, j - 1)]
    while i > 1 or j > 1:
        if i > 1 and j > 1 and total[i - 1, j - 1] < min(total[i - 1, j], total[i, j - 1]):
            i, j = i - 1, j - 1
        elif i > 1 and (j == 1 or total[i - 1, j] < total[i, j - 1]):
            i -= 1
        else:
            j -= 1
        path.append((i - 1, j - 1))
    rows, columns = np.array(path[::-1]).T
    return rows, columns
