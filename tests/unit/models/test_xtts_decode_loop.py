"""The decode loop against the stock package, on a small network with random weights."""

import functools
import statistics
from typing import Any

import pytest
import torch
from torch import Tensor

from src.domain.errors import EngineUnavailable
from src.models.xtts.decode_loop import DecodeLoop, Sentence
from src.models.xtts.network import Precision
from src.models.xtts.onnx_graph import quantised
from src.models.xtts.onnx_network import OnnxNetwork
from src.models.xtts.sampling import SamplingOptions
from src.models.xtts.torch_network import TorchNetwork
from src.models.xtts_model import make_network
from tests.checkpoints.xtts_checkpoint import load, stock, stock_codes, stock_latents, tiny_checkpoint, voice

CPU = torch.device("cpu")
GREEDY = SamplingOptions(greedy=True)


@functools.cache
def network(precision: Precision) -> TorchNetwork | OnnxNetwork:
    return make_network(load().gpt, precision, CPU, tiny_checkpoint())


def tokens(seed: int, length: int = 20) -> Tensor:
    return torch.randint(21, 1200, (length,), generator=torch.Generator().manual_seed(seed))


def run(loop: DecodeLoop, sentences: list[Sentence]) -> None:
    """All of them through the loop; the later ones enter as slots become free."""
    waiting = list(sentences)
    while waiting or loop.running:
        while waiting and loop.free:
            loop.admit(waiting.pop(0))
        loop.step()


def sentence(seed: int, max_codes: int = 602, length: int = 20) -> Sentence:
    return Sentence(tokens(seed, length), voice(seed)[0], seed=seed, max_codes=max_codes)


@pytest.mark.parametrize("seed", [0, 1])
def test_greedy_codes_equal_the_stock_packages_to_the_end(seed: int) -> None:
    expected = stock_codes(tokens(seed), voice(seed)[0])
    ours = sentence(seed)
    run(DecodeLoop(network(Precision.EXACT), GREEDY, CPU, slots=1), [ours])
    assert ours.codes == expected
    assert len(expected) > 30
    assert len(set(expected)) > 10


@pytest.mark.parametrize("favourite", [1, 1024])
def test_the_ids_of_the_prefix_are_penalised_as_the_stock_package_does(favourite: int) -> None:
    """It takes the prefix for ids 1 and the start code; a network in love with one of them shows it."""
    ours, model = sentence(1, max_codes=12), load()
    with torch.inference_mode():  # the weights may have been made in it
        for bias in (model.gpt.mel_head.bias, stock().gpt.mel_head.bias):
            bias[favourite] += 4.0
    try:
        expected = stock_codes(tokens(1), voice(1)[0], max_codes=12)
    finally:
        with torch.inference_mode():
            stock().gpt.mel_head.bias[favourite] -= 4.0
    run(DecodeLoop(TorchNetwork(model.gpt, Precision.EXACT, CPU), GREEDY, CPU, slots=1), [ours])
    assert ours.codes == expected
    assert expected[0] != favourite


def test_latents_of_the_steps_equal_the_stock_second_pass() -> None:
    ours = sentence(4, max_codes=120)
    run(DecodeLoop(network(Precision.EXACT), GREEDY, CPU, slots=1), [ours])
    assert ours.latents is not None
    expected = stock_latents(tokens(4), voice(4)[0], ours.codes)
    assert ours.latents.shape == expected.shape
    assert (ours.latents - expected).abs().max() <= 1e-4


def test_a_sentence_alone_equals_the_same_one_in_a_mixed_batch() -> None:
    """Lengths and ages differ; more sentences than slots, so that slots are left, moved and filled again."""
    lengths = [5, 60, 33, 17, 90, 41, 70, 12, 55, 28]
    together = [sentence(seed, max_codes=30 + 7 * seed, length=length) for seed, length in enumerate(lengths)]
    run(DecodeLoop(network(Precision.EXACT), GREEDY, CPU, slots=8), together)
    for seed, length in enumerate(lengths):
        alone = sentence(seed, max_codes=30 + 7 * seed, length=length)
        run(DecodeLoop(network(Precision.EXACT), GREEDY, CPU, slots=1), [alone])
        assert together[seed].codes == alone.codes
        assert alone.latents is not None
        torch.testing.assert_close(together[seed].latents, alone.latents, atol=1e-4, rtol=0)


@pytest.mark.parametrize("precision", [Precision.EXACT, Precision.INT8])
def test_sampled_codes_do_not_depend_on_the_company(precision: Precision) -> None:
    together = [sentence(seed, max_codes=50 + seed) for seed in range(6)]
    run(DecodeLoop(network(precision), SamplingOptions(), CPU, slots=4), together)
    alone = sentence(5, max_codes=55)
    run(DecodeLoop(network(precision), SamplingOptions(), CPU, slots=1), [alone])
    assert alone.codes == together[5].codes
    other = Sentence(tokens(5), voice(5)[0], seed=99, max_codes=55)
    run(DecodeLoop(network(precision), SamplingOptions(), CPU, slots=1), [other])
    assert other.codes != alone.codes


def test_a_host_that_reads_late_changes_nothing() -> None:
    prompt, late = sentence(1), sentence(1)
    run(DecodeLoop(network(Precision.EXACT), GREEDY, CPU, slots=2, lag=0), [prompt, sentence(2, max_codes=40)])
    run(DecodeLoop(network(Precision.EXACT), GREEDY, CPU, slots=2, lag=1), [late, sentence(2, max_codes=40)])
    assert late.codes == prompt.codes
    torch.testing.assert_close(late.latents, prompt.latents)


def test_a_cancelled_sentence_ends_within_one_step_and_frees_its_slot() -> None:
    loop = DecodeLoop(network(Precision.EXACT), GREEDY, CPU, slots=2)
    first, second = sentence(1), sentence(2, max_codes=60)
    loop.admit(first)
    loop.admit(second)
    loop.step()
    first.cancelled = True
    assert loop.step() == [first]
    assert (len(first.codes), first.finished, loop.free) == (2, True, 1)
    while loop.running:
        loop.step()
    assert second.codes == stock_codes(tokens(2), voice(2)[0], max_codes=60)


@pytest.mark.parametrize("precision", [Precision.EXACT, Precision.INT8])
def test_a_voice_runs_through_the_network_once(precision: Precision, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slots are left, moved, copied and filled again; a voice that no slot holds any more runs again."""
    ran = []
    prefill = type(network(precision)).prefill

    def counted(self: Any, x: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
        ran.append(x.shape[1])
        return prefill(self, x, *arguments)

    monkeypatch.setattr(type(network(precision)), "prefill", counted)
    speakers = [0, 0, 1, 0, 2, 2, 2, 1]
    together = [Sentence(tokens(n), voice(speaker)[0], n, 20 + 9 * n) for n, speaker in enumerate(speakers)]
    run(DecodeLoop(network(precision), GREEDY, CPU, slots=3), together)
    own = 20 + 3
    assert ran == [32 + own, own, 32 + own, own, 32 + own, own, own, 32 + own]
    for number, speaker in enumerate(speakers):
        alone = Sentence(tokens(number), voice(speaker)[0], number, 20 + 9 * number)
        run(DecodeLoop(network(precision), GREEDY, CPU, slots=1), [alone])
        assert together[number].codes == alone.codes


def test_a_voice_that_did_not_run_to_the_end_is_not_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = network(Precision.EXACT)
    loop = DecodeLoop(ours, GREEDY, CPU, slots=1)
    with monkeypatch.context() as failing:
        failing.setattr(type(ours), "prefill", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            loop.admit(sentence(1))
    again = sentence(1, max_codes=30)
    run(loop, [again])
    assert again.codes == stock_codes(tokens(1), voice(1)[0], max_codes=30)


def test_a_full_loop_admits_nothing() -> None:
    loop = DecodeLoop(network(Precision.EXACT), GREEDY, CPU, slots=1)
    loop.admit(sentence(1))
    with pytest.raises(RuntimeError, match="no free slot"):
        loop.admit(sentence(2))


def test_the_bytes_of_a_weight_are_no_further_from_it_than_half_a_step_of_their_block() -> None:
    weight = torch.randn(48, 96, generator=torch.Generator().manual_seed(0)) * torch.logspace(-3, 3, 96)
    levels, scales = quantised(weight)
    restored = (torch.from_numpy(levels).float() - 128) * torch.from_numpy(scales)[..., None]
    blocks = weight.view(48, 3, 32)
    assert ((restored - blocks).abs() <= 0.501 * blocks.abs().amax(dim=-1, keepdim=True) / 127).all()


def forced_logits(
    network: TorchNetwork | OnnxNetwork, codes: Tensor, sentence_tokens: Tensor, conditioning: Tensor
) -> Tensor:
    """[T, V] of codes [T], one step after the other, with and without a mask by turns."""
    cache: Any = network.new_cache(1)
    prefix = network.prefix(conditioning, sentence_tokens)
    logits = [network.prefill(prefix, cache, 0)[1]]
    for number, code in enumerate(codes[:-1], start=1):
        position = prefix.shape[1] - 1 + number
        x = network.embed(code[None], torch.tensor([number]))
        step = network.step(x, cache, torch.tensor([position]), position + 1, alone=number % 2 == 0)
        logits.append(step[1].clone())
    return torch.cat(logits)


@pytest.mark.parametrize("precision", [Precision.EXACT, Precision.INT8])
@torch.inference_mode()
def test_steps_see_what_a_prefix_of_the_same_positions_sees(precision: Precision) -> None:
    """Median of five, as in 8 bits a value on the edge between two steps may fall to either side."""
    ours, errors = network(precision), []
    for seed in range(5):
        codes = torch.randint(0, 1024, (40,), generator=torch.Generator().manual_seed(seed))
        stepped = forced_logits(ours, codes, tokens(seed), voice(seed)[0])[-1]
        spoken = ours.embed(codes[:-1], torch.arange(1, 40))[None]
        whole = torch.cat((ours.prefix(voice(seed)[0], tokens(seed)), spoken), dim=1)
        cache: Any = ours.new_cache(1)
        at_once = ours.prefill(whole, cache, 0)[1][0]
        errors.append(float((stepped - at_once).norm() / at_once.norm()))
    assert statistics.median(errors) < 0.01


@pytest.mark.parametrize(
    ("precision", "least", "most"),
    [(Precision.EXACT, 0, 1e-5), (Precision.BF16, 1e-4, 0.1), (Precision.INT8, 1e-4, 0.04)],
)
@torch.inference_mode()
def test_forced_steps_are_as_near_to_the_stock_logits_as_the_precision_says(
    precision: Precision, least: float, most: float
) -> None:
    ours, expected = [], []
    for seed in range(7):
        codes = torch.randint(0, 1024, (60,), generator=torch.Generator().manual_seed(seed))
        ours.append(forced_logits(network(precision), codes, tokens(seed), voice(seed)[0]))
        expected.append(stock().gpt.mel_head(stock_latents(tokens(seed), voice(seed)[0], codes.tolist())))
    error = (torch.cat(ours) - torch.cat(expected)).norm() / torch.cat(expected).norm()
    assert least <= error <= most


@pytest.mark.parametrize(
    ("processor", "capability", "vocoder"),
    [
        ({"avx512_vnni": True, "avx512_bf16": True}, "", torch.bfloat16),
        ({"avx512_vnni": True}, "", torch.float32),
        ({"avx2": True}, "", torch.float32),
        ({"avx512_bf16": True}, "avx2", torch.float32),  # torch was told to do without
    ],
)
def test_a_processor_without_bfloat16_does_not_emulate_it(
    monkeypatch: pytest.MonkeyPatch, processor: dict[str, bool], capability: str, vocoder: torch.dtype
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: processor)
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", capability)
    chosen = Precision.chosen("auto", CPU)
    assert (chosen, chosen.vocoder_dtype(CPU)) == (Precision.INT8, vocoder)
    assert Precision.EXACT.vocoder_dtype(CPU) == torch.float32


def test_a_gpu_computes_in_bf16_and_has_no_int8() -> None:
    assert Precision.chosen("auto", torch.device("cuda")) is Precision.BF16
    with pytest.raises(EngineUnavailable, match="int8 on a CPU only"):
        Precision.chosen("int8", torch.device("cuda"))
