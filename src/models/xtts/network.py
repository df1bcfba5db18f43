"""What the two forms of XTTS's GPT-2 share: its vectors, sizes and precisions; and its matrices in torch."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from src.domain.errors import EngineUnavailable
from src.models.processor import has_bfloat16


class Precision(StrEnum):
    """How the decode loop computes.

    exact: float32, equal to the stock package. bf16: weights and activations, by torch. int8: weights and activations,
    by ONNX Runtime, on a CPU.
    """

    EXACT = "exact"
    BF16 = "bf16"
    INT8 = "int8"

    @property
    def dtype(self) -> torch.dtype:
        """Of torch's activations between the matrices, and of its key-value cache."""
        return torch.bfloat16 if self is Precision.BF16 else torch.float32

    def vocoder_dtype(self, device: torch.device) -> torch.dtype:
        """bfloat16 where the device multiplies it, unless all is exact."""
        fast = self is not Precision.EXACT and (device.type == "cuda" or has_bfloat16())
        return torch.bfloat16 if fast else torch.float32

    @classmethod
    def chosen(cls, name: str, device: torch.device) -> "Precision":
        """The one of that name; auto: bf16 on a GPU, int8 on a CPU. Raises EngineUnavailable."""
        if name == "auto":
            return cls.BF16 if device.type == "cuda" else cls.INT8
        precision = cls(name)
        if precision is cls.INT8 and device.type != "cpu":
            raise EngineUnavailable("XTTS runs in int8 on a CPU only: set the precision to bf16 or exact.")
        return precision


class Linear:
    """[..., in] to [..., out]."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.weight = weight.contiguous()  # [out, in]
        self.bias = bias

    def __call__(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight, self.bias)


@dataclass(frozen=True, slots=True, eq=False)
class Norm:
    weight: Tensor
    bias: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    norm_1: Norm
    attention_in: Linear  # [D] to query, key, value [3 D]
    attention_out: Linear
    norm_2: Norm
    mlp_in: Linear  # [D] to [4 D]
    mlp_out: Linear

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """[B, T, D] after the block, of its input and of what its heads saw [B, H, T, D / H]."""
        x = x + self.attention_out(attended.transpose(1, 2).flatten(2))
        return x + self.mlp_out(functional.gelu(self.mlp_in(self.norm_2(x)), approximate="tanh"))


class Embeddings:
    """Of a stock `GPT`, in `dtype` on `device`. D is `width`, V is `codes`."""

    def __init__(self, gpt: Any, dtype: torch.dtype, device: torch.device) -> None:
        self.width: int = gpt.model_dim
        self.heads: int = gpt.heads
        self.codes: int = gpt.num_audio_tokens
        self.start_code: int = gpt.start_audio_token
        self.stop_code: int = gpt.stop_audio_token
        self.max_codes: int = gpt.max_gen_mel_tokens
        self.capacity: int = gpt.max_prompt_tokens + gpt.max_mel_tokens + gpt.max_text_tokens
        self._text_ends = (gpt.start_text_token, gpt.stop_text_token)
        tables: list[Tensor] = [
            table.weight.detach().to(device, dtype)
            for table in (gpt.text_embedding, gpt.text_pos_embedding.emb, gpt.mel_embedding, gpt.mel_pos_embedding.emb)
        ]
        self._text, self._text_position, self._code, self._code_position = tables

    def prefix(self, conditioning: Tensor, text_tokens: Tensor) -> Tensor:
        """What stands before the first audio code, with the start code: [1, 32 + T + 3, D] of [1, 32, D] and [T]."""
        start, stop = self._text_ends
        tokens = functional.pad(functional.pad(text_tokens, (1, 0), value=start), (0, 1), value=stop)
        tokens = tokens.to(self._text.device)
        text = self._text[tokens] + self._text_position[: len(tokens)]
        first = self._code[self.start_code] + self._code_position[0]
        return torch.cat((conditioning.to(text), text[None], first[None, None]), dim=1)

    def embed(self, codes: Tensor, counts: Tensor) -> Tensor:
        """[B, D] of the last codes [B], each the counts-th [B] of its sentence; the start code is number 0."""
        return self._code[codes] + self._code_position[counts]
