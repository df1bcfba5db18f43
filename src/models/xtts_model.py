"""XTTS-v2 as a voice engine: text and a voice in, speech out, many requests in one decode loop."""

import logging
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from src.domain.audio import OUTPUT_SAMPLE_RATE, Audio
from src.domain.errors import EngineUnavailable, JobCancelled, UnsupportedLanguage, VoiceServiceError
from src.domain.speech import Quality, SpeechRequest, VoiceConditioning
from src.models.xtts.conditioning import ENGINE, Conditioner, Voice
from src.models.xtts.coqui import load_xtts, spoken_languages
from src.models.xtts.decode_loop import DecodeLoop
from src.models.xtts.network import Precision
from src.models.xtts.onnx_files import step_session
from src.models.xtts.onnx_network import OnnxNetwork
from src.models.xtts.sampling import SamplingOptions
from src.models.xtts.text import Tokens
from src.models.xtts.torch_network import TorchNetwork
from src.models.xtts.utterance import Utterance, join
from src.models.xtts.vocoder import Stream, Vocoder

logger = logging.getLogger(__name__)

FIRST_CHUNK_CODES, CHUNK_CODES = 12, 32
"""Codes before the first streamed chunk (0.56 s, of which 0.2 s are the vocoder's halo), and between later ones."""

_CANDIDATE_SEED = 15_485_863
"""Apart from the retry's, so that no candidate repeats another's second attempt."""


class XttsModel:
    """Owned by one thread, which calls everything but `Utterance.cancel`.

    For one request at a time call `speak` or `stream`. To batch requests as they come, call `begin` for each and `step`
    for all; `audio` once an utterance is finished, and `vocode` before if its first sentences are to be sound early.
    """

    name = ENGINE

    def __init__(
        self,
        directory: Path,
        *,
        licence_accepted: bool,
        device: str = "cpu",
        precision: str = "auto",
        slots: int = 8,
        greedy: bool = False,
        threads: int | None = None,
    ) -> None:
        """precision: exact, bf16, int8, or auto: as `Precision.chosen` says. slots: sentences decoded together.
        threads: of torch on a CPU; None: as they are.

        Raises EngineUnavailable: the licence is not accepted, the checkpoint does not fit, the device is not there.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        self._device = _device(device)
        self.precision = Precision.chosen(precision, self._device)
        model = load_xtts(directory, licence_accepted=licence_accepted).to(self._device)
        self.languages = spoken_languages()
        self._tokens = Tokens(model.tokenizer)
        self._network = make_network(model.gpt, self.precision, self._device, directory)
        config = model.config
        options = SamplingOptions(
            config.temperature, config.top_k, config.top_p, config.repetition_penalty, greedy=greedy
        )
        self._loop = DecodeLoop(self._network, options, self._device, slots)
        self._conditioner = Conditioner(model)
        self._vocoder = Vocoder(model.hifigan_decoder, self.precision.vocoder_dtype(self._device))
        self._utterances: deque[Utterance] = deque()
        self.told = f"{self._device.type} in {self.precision}"
        logger.info("xtts: %s on %s", directory, self.told)

    def condition(self, references: tuple[Audio, ...]) -> VoiceConditioning:
        """Learn a voice from up to 30 s of each recording. Raises ReferenceTooShort."""
        return self._conditioner.condition(references).to_bytes()

    def speak(self, request: SpeechRequest) -> Audio:
        """Say the texts: 24 kHz mono. Raises UnsupportedLanguage."""
        utterance = self.begin(request)
        try:
            while not utterance.finished:
                self.step()
            return self.audio(utterance)
        finally:
            self.drop(utterance)

    def stream(self, request: SpeechRequest) -> Iterator[Audio]:
        """The same samples as `speak` without a second attempt at babble, in chunks as they come."""
        utterance = self.begin(request, retry=False)
        try:
            for index, sentence in enumerate(utterance.sentences):
                stream, next_at = Stream(self._vocoder, utterance.voice.speaker), FIRST_CHUNK_CODES
                while not sentence.finished:
                    self.step()
                    if len(sentence.codes) >= next_at and not sentence.finished:
                        next_at += CHUNK_CODES
                        yield from _chunk(stream.push(utterance.latents(index), final=False))
                yield from _chunk(stream.push(utterance.latents(index), final=True))
        finally:
            self.drop(utterance)

    def begin(self, request: SpeechRequest, *, retry: bool = True) -> Utterance:
        """Take a request on; `step` speaks it. `retry`: look for babble, unless the quality is fast. Raises
        UnsupportedLanguage.
        """
        if request.language not in self.languages:
            raise UnsupportedLanguage(f"XTTS does not speak {request.language!r} here.")
        voice = Voice.from_bytes(request.voice, self._device)
        if request.prosody is not None:
            voice = Voice(Voice.from_bytes(request.prosody, self._device).latents, voice.speaker)
        sentences = self._tokens.sentences(request.texts, request.language)
        seeds = [_seed(tokens, request.candidate) for tokens in sentences]
        guard = retry and request.quality is not Quality.FAST
        utterance = Utterance(sentences, voice, seeds, self._network.stop_code, guard=guard)
        if request.quality is not Quality.FAST:
            utterance.limit(self._network.max_codes)
        self._utterances.append(utterance)
        return utterance

    def step(self) -> None:
        """Admit what there is room for, one sentence of each request in turn, and add a code to every sentence."""
        while self._loop.free and (utterance := self._next_waiting()) is not None:
            self._loop.admit(utterance.waiting.popleft())
        for sentence in self._loop.step():
            for utterance in self._utterances:
                if sentence in utterance.sentences:
                    utterance.ended(sentence)

    def audio(self, utterance: Utterance) -> Audio:
        """What a finished utterance sounds like. Raises JobCancelled when it was cancelled."""
        if utterance.cancelled:
            raise JobCancelled("The speech was cancelled.")
        while self.vocode(utterance):
            pass
        return Audio(join(utterance.pieces).cpu().numpy(), OUTPUT_SAMPLE_RATE)

    def vocode(self, utterance: Utterance) -> bool:
        """Make sound of the next sentence, if its codes are all there. False when it is not."""
        index = len(utterance.pieces)
        if utterance.sounds or not utterance.sentences[index].finished:
            return False
        utterance.pieces.append(self._vocoder.decode(utterance.latents(index), utterance.voice.speaker))
        return True

    def drop(self, utterance: Utterance) -> None:
        """Forget an utterance; its sentences leave the loop with the next step."""
        if utterance in self._utterances:
            self._utterances.remove(utterance)
        if not utterance.finished:
            utterance.cancel()

    def _next_waiting(self) -> Utterance | None:
        for _ in range(len(self._utterances)):
            utterance = self._utterances[0]
            self._utterances.rotate(-1)
            if utterance.waiting and not utterance.cancelled:
                return utterance
        return None


def make_network(gpt: Any, precision: Precision, device: torch.device, directory: Path) -> TorchNetwork | OnnxNetwork:
    """What runs the steps: torch, or for int8 ONNX Runtime, whose graph is kept beside the checkpoint."""
    if precision is Precision.INT8:
        return OnnxNetwork(gpt, step_session(gpt, directory))
    return TorchNetwork(gpt, precision, device)


def _seed(tokens: Tensor, candidate: int) -> int:
    """The same text is said in the same way each time, and in another way in another candidate."""
    return zlib.crc32(tokens.numpy().tobytes()) + candidate * _CANDIDATE_SEED


def _chunk(samples: Tensor) -> Iterator[Audio]:
    if len(samples):
        yield Audio(samples.cpu().numpy(), OUTPUT_SAMPLE_RATE)


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise EngineUnavailable("DEVICE=cuda, and torch finds no CUDA device here.")
    return torch.device(name)


def load_xtts_batch(*args: Any, **options: Any) -> "XttsBatch":
    """Made in the process that owns the device; the arguments are XttsModel's."""
    return XttsBatch(XttsModel(*args, **options))


@dataclass(eq=False, slots=True)
class Lesson:
    """A voice to be learned from a recording."""

    references: tuple[Any, ...]
    result: VoiceConditioning | VoiceServiceError | None = None
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class XttsBatch:
    """Implements `domain.ports.BatchEngine` with the methods of the port VoiceEngine, `condition` and `speak`."""

    methods = frozenset({"condition", "speak"})

    def __init__(self, model: XttsModel) -> None:
        self._model = model
        self.told = model.told
        self._lessons: deque[Lesson] = deque()
        self._utterances: deque[Utterance] = deque()

    def begin(self, method: str, args: tuple[Any, ...]) -> Lesson | Utterance:
        if method == "condition":
            lesson = Lesson(args)
            self._lessons.append(lesson)
            return lesson
        utterance = self._model.begin(*args)
        self._utterances.append(utterance)
        return utterance

    def step(self) -> Sequence[Lesson | Utterance]:
        """One voice learned, one code for every sentence in the loop, and one sentence made sound: the longest of these
        is what a caller may have to wait for another.
        """
        self._learn()
        if not all(utterance.finished for utterance in self._utterances):
            self._model.step()
        for _ in range(len(self._utterances)):
            self._utterances.rotate(-1)
            if self._model.vocode(self._utterances[-1]):
                break
        lessons = [lesson for lesson in self._lessons if lesson.result is not None]
        return [*lessons, *(utterance for utterance in self._utterances if utterance.sounds)]

    def _learn(self) -> None:
        lesson = next((lesson for lesson in self._lessons if lesson.result is None and not lesson.cancelled), None)
        if lesson is not None:
            try:
                lesson.result = self._model.condition(*lesson.references)
            except VoiceServiceError as error:
                lesson.result = error

    def result(self, work: Lesson | Utterance) -> VoiceConditioning | Audio | None:
        if isinstance(work, Utterance):
            return self._model.audio(work)
        if isinstance(work.result, VoiceServiceError):
            raise work.result
        return work.result

    def drop(self, work: Lesson | Utterance) -> None:
        if isinstance(work, Utterance):
            self._utterances.remove(work)
            self._model.drop(work)
        else:
            self._lessons.remove(work)
