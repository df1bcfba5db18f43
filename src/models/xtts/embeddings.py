"""What XTTS's GPT-2 is given: codes, text and a voice as vectors. And its sizes."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


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
