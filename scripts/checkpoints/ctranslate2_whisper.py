"""A Whisper checkpoint in CTranslate2's format, which faster-whisper runs. Its own converter reads only transformers'
layout with a tokenizer from the hub; this fills the same specification from openai-whisper's, offline.
"""

from pathlib import Path
from typing import Any

import ctranslate2
import whisper
from ctranslate2.converters import utils
from ctranslate2.specs import common_spec, whisper_spec
from whisper.tokenizer import get_tokenizer


def convert(checkpoint: Path, folder: Path, *, quantization: str = "int8") -> Path:
    """Write the model of `checkpoint` into `folder`."""
    model = whisper.load_model(str(checkpoint), device="cpu")
    dims = model.dims
    spec = whisper_spec.WhisperSpec(dims.n_audio_layer, dims.n_audio_head, dims.n_text_layer, dims.n_text_head)
    for name in ("conv1", "conv2"):
        _weights(getattr(spec.encoder, name), getattr(model.encoder, name))
    _blocks(spec.encoder, model.encoder, model.encoder.ln_post)
    spec.encoder.position_encodings.encodings = model.encoder.positional_embedding.numpy()
    _blocks(spec.decoder, model.decoder, model.decoder.ln)
    spec.decoder.position_encodings.encodings = model.decoder.positional_embedding.detach().numpy()
    spec.decoder.embeddings.weight = spec.decoder.projection.weight = (
        model.decoder.token_embedding.weight.detach().numpy()
    )
    spec.register_vocabulary(_vocabulary(model))
    tokenizer = get_tokenizer(model.is_multilingual, num_languages=model.num_languages)
    spec.config.suppress_ids = list(tokenizer.non_speech_tokens)
    spec.config.suppress_ids_begin = [220, tokenizer.eot]
    spec.config.lang_ids = sorted(tokenizer.all_language_tokens)
    spec.config.alignment_heads = [[int(a), int(b)] for a, b in model.alignment_heads.indices().T]
    spec.validate()
    spec.optimize(quantization=quantization)
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    return folder


def load(folder: Path, device: str, threads: int) -> Any:
    """The network that `faster_whisper.WhisperModel` holds; its tokenizer would be fetched from the hub."""
    return ctranslate2.models.Whisper(str(folder), device=device, compute_type="int8", intra_threads=threads)


def _blocks(spec: Any, module: Any, norm: Any) -> None:
    _norm(spec.layer_norm, norm)
    for layer, block in zip(spec.layer, module.blocks, strict=True):
        attention = layer.self_attention
        _norm(attention.layer_norm, block.attn_ln)
        _joined(attention.linear[0], block.attn.query, block.attn.key, block.attn.value)
        _weights(attention.linear[1], block.attn.out)
        if block.cross_attn is not None:
            _norm(layer.attention.layer_norm, block.cross_attn_ln)
            _weights(layer.attention.linear[0], block.cross_attn.query)
            _joined(layer.attention.linear[1], block.cross_attn.key, block.cross_attn.value)
            _weights(layer.attention.linear[2], block.cross_attn.out)
        _norm(layer.ffn.layer_norm, block.mlp_ln)
        _weights(layer.ffn.linear_0, block.mlp[0])
        _weights(layer.ffn.linear_1, block.mlp[2])


def _norm(spec: Any, module: Any) -> None:
    spec.gamma, spec.beta = module.weight.detach().numpy(), module.bias.detach().numpy()


def _weights(spec: Any, module: Any) -> None:
    spec.weight = module.weight.detach().numpy()
    if module.bias is not None:
        spec.bias = module.bias.detach().numpy()


def _joined(spec: Any, *modules: Any) -> None:
    parts = []
    for module in modules:
        part = common_spec.LinearSpec()
        _weights(part, module)
        parts.append(part)
    utils.fuse_linear(spec, parts)


def _vocabulary(model: Any) -> list[str]:
    """The names of the special tokens, by which CTranslate2 finds them, and a number for each other token.

    The empty token is how CTranslate2 4.8 tells a multilingual vocabulary.
    """
    tokenizer = get_tokenizer(model.is_multilingual, num_languages=model.num_languages)
    names = {number: name for name, number in tokenizer.special_tokens.items()}
    if model.is_multilingual:
        names[tokenizer.eot - 1] = ""
    return [names.get(index, f"token{index}") for index in range(model.dims.n_vocab)]
