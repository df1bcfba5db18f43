"""An XTTS-v2 checkpoint of any size with seeded random weights: the five files of the published layout."""

import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from src.models.xtts.coqui import xtts_classes

LANGUAGES = ("en", "es", "fr", "de", "it", "pt", "pl", "tr", "ru", "nl", "cs", "ar", "zh-cn", "hu", "ko", "ja", "hi")
AUDIO_CODES = 1026
START_AUDIO, STOP_AUDIO = 1024, 1025
_SPECIAL = ("[STOP]", "[UNK]", "[SPACE]", "[START]", *(f"[{code}]" for code in LANGUAGES))
_ALPHABETS = ((0x21, 0x7E), (0xA1, 0x17F), (0x391, 0x3C9), (0x400, 0x45F), (0x600, 0x65F), (0x900, 0x970))


@dataclass(frozen=True, slots=True)
class Size:
    layers: int
    width: int
    heads: int
    text_tokens: int
    stop_bias: float = 0.0
    """Added to the stop code's logit, so that sentences end by themselves after a second or two."""


SIZES = {"tiny": Size(3, 64, 4, 1200, stop_bias=0.9), "full": Size(30, 1024, 16, 6681)}


def write(directory: Path, size: Size, seed: int, *, endless: bool = False) -> None:
    """Write the five files. `endless`: the stop code is never drawn, for measurements of a fixed length."""
    config_class, model_class = xtts_classes()
    directory.mkdir(parents=True, exist_ok=True)
    _tokenizer(size.text_tokens).save(str(directory / "vocab.json"))
    config = config_class()
    config.update(_config(), allow_new=False)
    config.model_args.update(_model_args(size))
    torch.manual_seed(seed)
    model = model_class(config)
    _randomise(model.gpt)
    model.hifigan_decoder.waveform_decoder.conv_post.weight.data.mul_(15)  # to the loudness of speech
    model.gpt.mel_head.bias.data[STOP_AUDIO] = -1e4 if endless else size.stop_bias
    mel_stats = torch.rand(80) + 0.5
    model.mel_stats.copy_(mel_stats)
    (directory / "config.json").write_text(json.dumps(config.to_dict(), indent=2) + "\n")
    torch.save({"model": model.state_dict(), "config": config.to_dict()}, directory / "model.pth")
    torch.save(mel_stats, directory / "mel_stats.pth")
    speaker = {"gpt_cond_latent": torch.randn(1, 32, size.width), "speaker_embedding": torch.randn(1, 512, 1) / 22.6}
    torch.save({"Nobody": speaker}, directory / "speakers_xtts.pth")


def full_and_endless(directory: Path) -> Path:
    """For measurements: written (1.9 GB, half a minute) unless it is there."""
    if not directory.exists():
        unfinished = directory.with_name(directory.name + ".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        write(unfinished, SIZES["full"], seed=0, endless=True)
        unfinished.rename(directory)
    return directory


def _config() -> dict[str, Any]:
    """What the published config.json says, but for the sizes."""
    return {
        "temperature": 0.75,
        "length_penalty": 1.0,
        "repetition_penalty": 5.0,
        "top_k": 50,
        "top_p": 0.85,
        "num_gpt_outputs": 1,
        "gpt_cond_len": 30,
        "gpt_cond_chunk_len": 4,
        "max_ref_len": 30,
        "sound_norm_refs": False,
        "languages": list(LANGUAGES),
    }


def _model_args(size: Size) -> dict[str, Any]:
    return {
        "gpt_layers": size.layers,
        "gpt_n_model_channels": size.width,
        "gpt_n_heads": size.heads,
        "gpt_number_text_tokens": size.text_tokens,
        "gpt_start_text_token": _SPECIAL.index("[START]"),
        "gpt_stop_text_token": _SPECIAL.index("[STOP]"),
        "gpt_num_audio_tokens": AUDIO_CODES,
        "gpt_start_audio_token": START_AUDIO,
        "gpt_stop_audio_token": STOP_AUDIO,
        "gpt_use_perceiver_resampler": True,
        "decoder_input_dim": size.width,
    }


def _tokenizer(tokens: int) -> Tokenizer:
    """A byte-pair tokenizer of `tokens` entries: tags, letters of all languages, pairs and triples of letters."""
    letters = [chr(code) for first, last in _ALPHABETS for code in range(first, last + 1)]
    vocabulary = {token: index for index, token in enumerate((*_SPECIAL, *letters))}
    if tokens < len(vocabulary):
        raise ValueError(f"the alphabets alone need {len(vocabulary)} text tokens")
    latin = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    pairs = [(first, second) for first in latin for second in latin]
    triples = [(first + second, third) for first, second in pairs for third in latin]
    merges = [*pairs, *triples][: tokens - len(vocabulary)]
    for left, right in merges:
        vocabulary[left + right] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in _SPECIAL])
    return tokenizer


def _randomise(gpt: torch.nn.Module) -> None:
    """Weights large enough that every input moves the output: a network of near-zero weights would hide mistakes."""
    for name, parameter in gpt.named_parameters():
        if "norm" in name or ".ln_" in name:
            continue
        if parameter.dim() < 2:
            parameter.data.normal_(0.0, 0.05)
        elif "embedding" in name:
            parameter.data.normal_(0.0, 0.5)
        else:
            parameter.data.normal_(0.0, 1.0 / math.sqrt(parameter[0].numel()))
