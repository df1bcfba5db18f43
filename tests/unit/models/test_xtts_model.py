"""The engine: a checkpoint in the published layout in, speech out."""

import functools
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from src.domain.audio import Audio
from src.domain.errors import EngineUnavailable, InternalError, JobCancelled, ReferenceTooShort, UnsupportedLanguage
from src.domain.speech import Quality, SpeechRequest, VoiceConditioning
from src.models.xtts.conditioning import Voice
from src.models.xtts.coqui import load_xtts
from src.models.xtts.guards import Fault, Verdict
from src.models.xtts_model import XttsModel
from tests.checkpoints.xtts_checkpoint import quiet, stock, tiny_checkpoint, voice

TEXTS = ("The train leaves at 12:45, platform 3.", "Please bring your passport.")


@functools.cache
def model() -> XttsModel:
    with quiet():
        return XttsModel(tiny_checkpoint(), licence_accepted=True, precision="exact", slots=4, greedy=True)


def noise(seconds: float, rate: int = 22_050, seed: int = 0) -> Audio:
    samples = np.random.default_rng(seed).normal(0, 0.1, int(seconds * rate)).astype(np.float32)
    return Audio(samples, rate)


def request(*texts: str, language: str = "en", seed: int = 0, prosody: int | None = None) -> SpeechRequest:
    melody = None if prosody is None else Voice(*voice(prosody)).to_bytes()
    return SpeechRequest(texts, language, Voice(*voice(seed)).to_bytes(), melody, quality=Quality.FAST)


def test_speech_equals_the_stock_packages() -> None:
    with quiet():
        waves = [
            stock().inference(text, "en", *voice(), do_sample=False, repetition_penalty=5.0)["wav"] for text in TEXTS
        ]
    ours = model().speak(request(*TEXTS))
    expected = np.concatenate(waves)
    assert ours.sample_rate == 24_000
    assert ours.samples.shape == expected.shape
    assert np.abs(ours.samples - expected).max() <= 1e-4


@pytest.mark.parametrize("seconds", [(9.5,), (5.0, 8.2), (20.0, 31.0, 4.1)], ids=str)
def test_conditioning_equals_what_stock_synthesize_uses(
    seconds: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    references = tuple(noise(each, seed=index) for index, each in enumerate(seconds))
    files = {str(index): torch.from_numpy(each.samples)[None] for index, each in enumerate(references)}
    with quiet():
        package = stock()
        # It reads files with torchcodec, which needs the ffmpeg libraries; what it does with them is its own.
        monkeypatch.setattr("TTS.tts.models.xtts.load_audio", lambda path, _: files[path])
        latents, speaker = package.get_conditioning_latents(
            list(files), max_ref_length=30, gpt_cond_len=30, gpt_cond_chunk_len=4
        )
        ours = Voice.from_bytes(model().condition(references), torch.device("cpu"))
    torch.testing.assert_close(ours.latents, latents, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.speaker, speaker, atol=1e-5, rtol=0)


def test_learned_voices_are_safetensors() -> None:
    tensors = safetensors.torch.load(model().condition((noise(2.0),)).data)
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {
        "gpt_cond_latent": (1, 32, 64),
        "speaker_embedding": (1, 512, 1),
    }


def test_chunks_join_to_the_whole() -> None:
    chunks = list(model().stream(request(*TEXTS)))
    joined = np.concatenate([chunk.samples for chunk in chunks])
    whole = model().speak(request(*TEXTS)).samples
    assert len(chunks) >= 3
    assert chunks[0].duration_seconds < 1
    assert joined.shape == whole.shape
    assert np.abs(joined - whole).max() <= 1e-4


def test_streamed_speech_is_not_said_again_as_it_was_heard_already(monkeypatch: pytest.MonkeyPatch) -> None:
    item = replace(request(TEXTS[1]), quality=Quality.BALANCED)
    usual = [chunk.samples for chunk in model().stream(item)]
    monkeypatch.setattr("src.models.xtts.utterance.judge", lambda *_: Verdict(Fault.REPEATS, 1, 0.0))
    babbled = [chunk.samples for chunk in model().stream(item)]
    assert len(babbled) == len(usual)
    assert all(np.array_equal(one, other) for one, other in zip(babbled, usual, strict=True))


def test_requests_that_share_the_loop_say_what_each_says_alone() -> None:
    requests = [request(f"Message number {index} of all.", *TEXTS[: index % 3], seed=index) for index in range(16)]
    together = speak_all(requests)
    for item, latents in zip(requests, together, strict=True):
        (alone,) = speak_all([item])
        assert latents.shape == alone.shape
        assert (latents - alone).abs().max() <= 1e-4
    assert len({len(latents) for latents in together}) > 3


def speak_all(requests: list[SpeechRequest]) -> list[torch.Tensor]:
    """The latents of each request, all spoken at the same time."""
    utterances = [model().begin(item) for item in requests]
    while not all(utterance.finished for utterance in utterances):
        model().step()
    for utterance in utterances:
        model().drop(utterance)
    return [torch.cat([each.latents(index) for index in range(len(each.sentences))]) for each in utterances]


def test_a_cancelled_request_leaves_the_others_alone() -> None:
    kept, dropped = model().begin(request(TEXTS[0])), model().begin(request(TEXTS[1], seed=1))
    model().step()
    dropped.cancel()
    while not kept.finished:
        model().step()
    with pytest.raises(JobCancelled):
        model().audio(dropped)
    assert np.abs(model().audio(kept).samples - model().speak(request(TEXTS[0])).samples).max() <= 1e-4
    model().drop(kept)
    model().drop(dropped)


def test_prosody_steers_the_network_and_the_profile_the_vocoder() -> None:
    utterance = model().begin(request(TEXTS[0], seed=1, prosody=2))
    assert torch.equal(utterance.voice.latents, voice(2)[0])
    assert torch.equal(utterance.voice.speaker, voice(1)[1])
    model().drop(utterance)
    profile, lent, message = speak_all(
        [request(TEXTS[1], seed=1), request(TEXTS[1], seed=1, prosody=2), request(TEXTS[1], seed=2)]
    )
    torch.testing.assert_close(lent, message, atol=1e-4, rtol=0)  # the network's; only the vocoder hears of the profile
    assert not torch.equal(profile[:10], lent[:10])


def test_takes_differ_and_each_repeats_itself() -> None:
    with quiet():
        sampling = XttsModel(tiny_checkpoint(), licence_accepted=True, precision="exact", slots=4)
    item = SpeechRequest(("Hi.",), "en", Voice(*voice()).to_bytes())
    takes = [sampling.begin(replace(item, candidate=take), retry=False) for take in (0, 1, 2, 1)]
    while not all(take.finished for take in takes):
        sampling.step()
    codes = [tuple(take.sentences[0].codes) for take in takes]
    assert codes[1] == codes[3]
    assert len(set(codes)) == 3


def test_voices_survive_as_bytes_and_foreign_ones_are_refused() -> None:
    kept = Voice.from_bytes(Voice(*voice(3)).to_bytes(), torch.device("cpu"))
    assert torch.equal(kept.latents, voice(3)[0])
    for wrong in (VoiceConditioning("espeak", b"{}"), VoiceConditioning("xtts-v2", b"not safetensors")):
        with pytest.raises(InternalError):
            Voice.from_bytes(wrong, torch.device("cpu"))


def test_a_third_of_a_second_is_the_least_reference() -> None:
    with pytest.raises(ReferenceTooShort):
        model().condition((noise(2.0), noise(0.3)))


def test_other_languages_are_refused() -> None:
    with pytest.raises(UnsupportedLanguage):
        model().speak(request("x", language="sv"))


def test_the_licence_must_be_accepted() -> None:
    with pytest.raises(EngineUnavailable, match="COQUI_TOS_AGREED=1"):
        XttsModel(tiny_checkpoint(), licence_accepted=False)


def test_a_checkpoint_that_lacks_a_file_or_a_weight_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"lacks config\.json, model\.pth, vocab\.json"):
        load_xtts(tmp_path, licence_accepted=True)
    for name in ("config.json", "vocab.json"):
        shutil.copy(tiny_checkpoint() / name, tmp_path)
    weights = torch.load(tiny_checkpoint() / "model.pth", weights_only=True)
    del weights["model"]["gpt.final_norm.weight"]
    torch.save(weights, tmp_path / "model.pth")
    with pytest.raises(EngineUnavailable, match="does not fit"):
        load_xtts(tmp_path, licence_accepted=True)


def test_a_text_without_words_is_a_short_silence() -> None:
    silence = model().speak(request("…", "?!"))
    assert 0.1 < silence.duration_seconds < 0.5
    assert not silence.samples.any()
    utterance = model().begin(request("…", TEXTS[1]))
    assert len(utterance.sentences) == 1
    model().drop(utterance)


def test_babble_is_said_once_more_and_no_oftener() -> None:
    item = SpeechRequest(("Hi.",), "en", Voice(*voice()).to_bytes(), quality=Quality.BALANCED)
    utterance = model().begin(item)
    utterance.sentences[0].max_codes = 3  # cannot end by itself
    attempts = [utterance.sentences[0]]
    while not utterance.finished:
        model().step()
        if utterance.sentences[0] not in attempts:
            attempts.append(utterance.sentences[0])
    assert len(attempts) == 2
    assert all(attempt.finished for attempt in attempts)
    assert not utterance.waiting
    assert len(utterance.sentences[0].codes) == 3
    model().drop(utterance)
