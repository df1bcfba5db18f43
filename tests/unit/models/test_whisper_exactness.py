"""Ours against openai-whisper on a small network with random weights: tokens, probabilities, languages, word times."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import whisper
from torch.nn import functional
from whisper.decoding import DecodingOptions
from whisper.timing import dtw_cpu, find_alignment, merge_punctuations

from scripts.checkpoints.whisper import make
from src.domain.audio import Samples
from src.domain.speech import Quality
from src.models.whisper.network import Precision
from src.models.whisper.recogniser import ATTEMPTS, FULL_CONTEXT, Recogniser, Window
from src.models.whisper.segments import warp, word_timings

CPU = torch.device("cpu")
TOKENS = 24


def sound(seconds: float, seed: int) -> Samples:
    """Gliding tones and noise, different for each seed: the weights are random, so speech would say no more."""
    generator = np.random.default_rng(seed)
    t = np.arange(round(seconds * 16_000)) / 16_000
    tone = 0.3 * np.sin(2 * np.pi * (150 + 400 * seed) * t * (1 + 0.2 * np.sin(3 * t))) * np.abs(np.sin((2 + seed) * t))
    return (tone + 0.02 * generator.standard_normal(len(t))).astype(np.float32)


def padded(window: Window) -> torch.Tensor:
    return functional.pad(window.mel, (0, 3000 - window.mel.shape[1]))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """So small a network loses more by waiting for a second core than it gains."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("unit", tmp_path_factory.mktemp("whisper") / "random.pt", seed=3)


@pytest.fixture(scope="module")
def stock(checkpoint: Path) -> Any:
    return whisper.load_model(str(checkpoint), device="cpu")


@pytest.fixture(scope="module")
def recogniser(checkpoint: Path) -> Recogniser:
    return Recogniser(checkpoint, CPU, Precision.FLOAT32, batch=4)


@pytest.fixture(scope="module")
def windows(recogniser: Recogniser) -> list[Window]:
    return [recogniser.window(sound(seconds, seed)) for seed, seconds in enumerate((2.0, 7.0, 16.0, 29.9))]


@pytest.mark.parametrize("beams", [None, 5])
def test_tokens_equal_openai_whisper(
    stock: Any, recogniser: Recogniser, windows: list[Window], beams: int | None
) -> None:
    for window in windows[1:3]:
        features = recogniser.encoded([window], short=False)
        ours = recogniser.decoder.decode(features, "fr", beams=beams, max_tokens=TOKENS)[0]
        options = DecodingOptions(language="fr", fp16=False, beam_size=beams, sample_len=TOKENS)
        theirs = stock.decode(padded(window), options)
        assert list(ours.tokens) == theirs.tokens
        assert len(set(ours.tokens)) > 10  # a network that repeats one token would prove little
        assert ours.log_probability == pytest.approx(theirs.avg_logprob, abs=1e-4)
        assert ours.no_speech_probability == pytest.approx(theirs.no_speech_prob, abs=1e-4)
        assert ours.compression_ratio == theirs.compression_ratio


def test_logits_of_known_tokens_equal_openai_whisper(stock: Any, recogniser: Recogniser, windows: list[Window]) -> None:
    """One by one through the static caches, against one pass of the stock module."""
    tokens = torch.randint(0, 50_000, (1, 40), generator=torch.Generator().manual_seed(1))
    features = recogniser.encoded([windows[0]], short=False)
    listening = recogniser.network.listen(features)
    ours = torch.cat([listening.step(tokens[:, :4])] + [listening.step(tokens[:, i : i + 1]) for i in range(4, 40)], 1)
    with torch.no_grad():
        theirs = stock(padded(windows[0])[None], tokens)
    assert float((ours - theirs).abs().max()) < 1e-3


@pytest.mark.parametrize("beams", [None, 3])
def test_a_batch_gives_each_window_what_it_gives_alone(
    recogniser: Recogniser, windows: list[Window], beams: int | None
) -> None:
    alone = [
        recogniser.decoder.decode(recogniser.encoded([w], short=False), "es", beams=beams, max_tokens=TOKENS)[0].tokens
        for w in windows
    ]
    features = recogniser.encoded(windows, short=False)
    together = recogniser.decoder.decode(features, "es", beams=beams, max_tokens=TOKENS)
    assert [decoded.tokens for decoded in together] == alone
    assert len(set(alone)) > 1


def test_language_probabilities_equal_openai_whisper(stock: Any, recogniser: Recogniser, windows: list[Window]) -> None:
    ours = recogniser.languages(windows[:2], short=False)
    _, theirs = stock.detect_language(torch.stack([padded(window) for window in windows[:2]]))
    for mine, other in zip(ours, theirs, strict=True):
        assert mine == pytest.approx(other, abs=1e-5)


def test_the_layout_of_large_v3_is_read_too(tmp_path: Path) -> None:
    """128 mel bands and one language more."""
    path = make("unit-v3", tmp_path / "v3.pt")
    ours = Recogniser(path, CPU, Precision.FLOAT32, batch=4)
    window = ours.window(sound(5.0, 1))
    options = DecodingOptions(language="yue", fp16=False, sample_len=TOKENS)
    theirs = whisper.load_model(str(path), device="cpu").decode(padded(window), options)
    features = ours.encoded([window], short=False)
    assert list(ours.decoder.decode(features, "yue", max_tokens=TOKENS)[0].tokens) == theirs.tokens


def test_each_window_is_encoded_once_for_language_text_and_words(checkpoint: Path) -> None:
    recogniser = Recogniser(checkpoint, CPU, Precision.FLOAT32, batch=4)
    windows = [recogniser.window(sound(3.0, seed)) for seed in range(2)]
    recogniser.languages(windows, short=False)
    for attempt in ATTEMPTS[Quality.BALANCED][:2]:
        decoded = recogniser.attempt(windows, "en", attempt)
    recogniser.segments(windows[0], decoded[0], "en")
    assert recogniser.network.encoded == 2


def test_a_shortened_context_is_encoded_at_the_length_of_the_clip(checkpoint: Path) -> None:
    recogniser = Recogniser(checkpoint, CPU, Precision.FLOAT32, batch=4)
    window = recogniser.window(sound(3.0, 1))
    assert recogniser.encoded([window], short=True).shape[1] == 320  # 150 + 128 in steps of 64
    assert recogniser.attempt([window], "en", ATTEMPTS[Quality.FAST][0])[0].failed
    recogniser.attempt([window], "en", ATTEMPTS[Quality.FAST][1])
    assert set(window.features) == {320, FULL_CONTEXT}
    assert recogniser.network.encoded == 2


def test_word_times_equal_openai_whisper(stock: Any, recogniser: Recogniser, windows: list[Window]) -> None:
    tokenizer = recogniser.decoder.tokenizer("fr")
    tokens = tokenizer.encode(" Bonjour, comment allez-vous « aujourd'hui » ?")
    for window in windows[:3]:
        theirs = find_alignment(stock, tokenizer, tokens, padded(window), window.mel.shape[1])
        merge_punctuations(theirs, "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、")
        features = recogniser.encoded([window], short=False)
        ours = word_timings(recogniser.network, tokenizer, tokens, features, window.mel.shape[1])
        assert [word.word for word in ours] == [word.word for word in theirs if word.tokens]
        for mine, other in zip(ours, (word for word in theirs if word.tokens), strict=True):
            assert (mine.start, mine.end) == pytest.approx((other.start, other.end))
            assert mine.probability == pytest.approx(other.probability, abs=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (5, 5), (12, 150), (40, 7)])
def test_warping_finds_the_same_path_as_openai_whisper(shape: tuple[int, int]) -> None:
    cost = np.random.default_rng(sum(shape)).standard_normal(shape)
    rows, columns = warp(cost)
    assert np.array_equal(np.stack((rows, columns)), dtw_cpu(cost))


def test_sampling_gives_the_same_text_twice_and_leaves_the_global_generator_alone(
    recogniser: Recogniser, windows: list[Window]
) -> None:
    features = recogniser.encoded(windows[:1], short=False)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second = (
        recogniser.decoder.decode(features, "en", temperature=0.8, max_tokens=20)[0].tokens for _ in range(2)
    )
    assert first == second
    assert torch.equal(before, torch.random.get_rng_state())
