"""What XTTS learns from a recording, and how it is kept: safetensors bytes, never pickle."""

from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from src.domain.audio import WORKING_SAMPLE_RATE, Audio
from src.domain.errors import InternalError, ReferenceTooShort
from src.domain.speech import VoiceConditioning
from src.utils.audio import resample

ENGINE = "xtts-v2"
_MIN_SECONDS = 0.33
"""Of a chunk; the stock package leaves shorter ones out."""
_MEL = {
    "n_fft": 2048,
    "hop_length": 256,
    "win_length": 1024,
    "power": 2,
    "normalized": False,
    "sample_rate": WORKING_SAMPLE_RATE,
    "f_min": 0,
    "f_max": 8000,
    "n_mels": 80,
}
"""Of the spectrograms that the stock package learns latents from."""
_REFERENCE_PEAK = 0.75
"""Of full scale: what the stock package brings references to when config.json has `sound_norm_refs`."""


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """`latents` [1, 32, D] steer what the network says and how; `speaker` [1, 512, 1] is the vocoder's."""

    latents: Tensor
    speaker: Tensor

    def to_bytes(self) -> VoiceConditioning:
        tensors = {
            "gpt_cond_latent": self.latents.cpu().contiguous(),
            "speaker_embedding": self.speaker.cpu().contiguous(),
        }
        return VoiceConditioning(ENGINE, save(tensors))

    @staticmethod
    def from_bytes(conditioning: VoiceConditioning, device: torch.device) -> "Voice":
        """Raises InternalError when another engine made it."""
        try:
            tensors = load(conditioning.data) if conditioning.engine == ENGINE else {}
            return Voice(tensors["gpt_cond_latent"].to(device), tensors["speaker_embedding"].to(device))
        except (KeyError, SafetensorError) as error:
            raise InternalError("The voice conditioning is not XTTS's.") from error


class Conditioner:
    """`Xtts.get_conditioning_latents` as `Xtts.synthesize` calls it, with what config.json says.

    Published: up to 30 s of each reference (`max_ref_len`) for the speaker embedding, which is the mean over the
    references; for the latents the first 30 s of all of them joined (`gpt_cond_len`), in chunks of 4 s
    (`gpt_cond_chunk_len`), whose latents are averaged.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._seconds = int(model.config.gpt_cond_len)
        self._chunk_seconds = int(model.config.gpt_cond_chunk_len)
        self._max_seconds = int(model.config.max_ref_len)
        self._levelled = bool(model.config.sound_norm_refs)

    @torch.inference_mode()
    def condition(self, references: tuple[Audio, ...]) -> Voice:
        """No reference at all: a speaker that came with the checkpoint. Raises ReferenceTooShort for a reference below
        a third of a second, and where no speaker came.
        """
        if not references:
            return self._own_voice()
        recordings = [self._prepared(reference) for reference in references]
        speakers = [self._model.get_speaker_embedding(recording, WORKING_SAMPLE_RATE) for recording in recordings]
        return Voice(self._latents(torch.cat(recordings, dim=-1)), torch.stack(speakers).mean(dim=0))

    def _latents(self, audio: Tensor) -> Tensor:
        """[1, 32, D] of audio [1, samples]: as `Xtts.get_gpt_cond_latents`, but the whole chunks as one batch."""
        from TTS.tts.models.xtts import wav_to_mel_cloning  # noqa: PLC0415 - importable once load_xtts has run

        audio = audio[:, : self._seconds * WORKING_SAMPLE_RATE]
        size = self._chunk_seconds * WORKING_SAMPLE_RATE
        whole = audio.shape[1] // size * size
        styles = [
            self._model.gpt.get_style_emb(
                wav_to_mel_cloning(chunks, mel_norms=self._model.mel_stats.cpu(), **_MEL).to(self._model.device)
            )
            for chunks in (audio[:, :whole].reshape(-1, size), audio[:, whole:])
            if len(chunks) and chunks.shape[1] >= _MIN_SECONDS * WORKING_SAMPLE_RATE
        ]  # [chunks, D, 32] each
        return torch.cat(styles).mean(dim=0, keepdim=True).transpose(1, 2)

    def _own_voice(self) -> Voice:
        speakers = getattr(self._model.speaker_manager, "speakers", {})
        if not speakers:
            raise ReferenceTooShort("The recording has too little voice to learn from.")
        first = next(iter(speakers.values()))
        return Voice(first["gpt_cond_latent"], first["speaker_embedding"])

    def _prepared(self, reference: Audio) -> Tensor:
        """[1, samples] at 22 050 Hz, in [-1, 1]."""
        samples = resample(reference, WORKING_SAMPLE_RATE).samples[: self._max_seconds * WORKING_SAMPLE_RATE]
        if len(samples) < _MIN_SECONDS * WORKING_SAMPLE_RATE:
            raise ReferenceTooShort(f"The reference has less than {_MIN_SECONDS} s of speech.")
        audio = torch.from_numpy(samples.copy()).clamp_(-1, 1)[None]
        return normalise(audio) if self._levelled else audio


def normalise(audio: Tensor) -> Tensor:
    """[1, samples] with its peak where `sound_norm_refs` wants it; silence stays as it is."""
    peak = audio.abs().max()
    return audio if peak == 0 else audio / peak * _REFERENCE_PEAK
