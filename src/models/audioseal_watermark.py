"""AudioSeal (Meta, arXiv:2401.17264): an inaudible watermark that carries 16 bits. For a child process.

The generator hears speech at 16 kHz and gives a signal to be added to it. Only that signal is resampled to the rate of
the speech, so that nothing above 8 kHz is lost. The package's own loader would run whatever code a file holds; here
only tensors are read, and the configuration's classes.
"""

import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from src.domain.audio import Audio, Samples
from src.domain.errors import EngineUnavailable
from src.domain.provenance import WatermarkFinding
from src.models.audioseal_files import DETECTOR_FILE, GENERATOR_FILE, NAME
from src.utils.audio import resample

SAMPLE_RATE = 16_000
"""Hz. What the published networks were trained on."""
BITS = 16

_CARDS = {GENERATOR_FILE: "audioseal_wm_16bits", DETECTOR_FILE: "audioseal_detector_16bits"}
_PLAIN_GLOBALS = frozenset({"typing.Any", "collections.defaultdict", "builtins.dict", "builtins.list", "builtins.int"})

_PIECE = 15 * SAMPLE_RATE
"""Samples that go through a network at once; five minutes would take gigabytes."""
_AROUND = SAMPLE_RATE // 4
"""Samples more on both sides, so that the seams are not heard."""
_HEARD = 0.5


class AudioSealWatermark:
    """`message`: four hexadecimal digits. Raises EngineUnavailable when the files are not AudioSeal's."""

    def __init__(self, folder: Path, message: str) -> None:
        self._own = message.lower()
        self._generator = _load(folder / GENERATOR_FILE)
        self._detector = _load(folder / DETECTOR_FILE)

    def embed(self, audio: Audio) -> Audio:
        """The sound with this deployment's watermark added; samples may then be beyond [-1, 1] by a little."""
        speech = resample(audio, SAMPLE_RATE).samples
        if len(speech) == 0:
            return audio
        mark = np.concatenate([self._mark(*piece) for piece in _pieces(speech)])
        added = np.zeros_like(audio.samples)
        there = resample(Audio(mark, SAMPLE_RATE), audio.sample_rate).samples[: len(added)]
        added[: len(there)] = there
        return Audio(audio.samples + added, audio.sample_rate)

    def detect(self, audio: Audio) -> WatermarkFinding:
        """The share of the sound that is marked, and the message that was heard in all of it."""
        speech = resample(audio, SAMPLE_RATE).samples
        marked, bits = 0.0, torch.zeros(BITS)
        for piece, start, end in _pieces(speech):
            presence, heard = self._hear(piece)
            marked += float((presence[start:end] > _HEARD).sum())
            bits += heard * (end - start)
        message = _digits(bits / max(1, len(speech)) > _HEARD)
        return WatermarkFinding(NAME, marked / max(1, len(speech)), message, message == self._own)

    def _mark(self, piece: Samples, start: int, end: int) -> Samples:
        message = torch.tensor([[int(bit) for bit in f"{int(self._own, 16):0{BITS}b}"]])  # [1, 16]
        with torch.inference_mode(), uncompiled():
            signal = self._generator.get_watermark(_batch(piece), message=message)  # [1, 1, T]
        mark: Samples = signal[0, 0, start:end].numpy()
        return mark

    def _hear(self, piece: Samples) -> tuple[torch.Tensor, torch.Tensor]:
        """The probability of a watermark at each sample [T], and of a one at each bit [16]."""
        with torch.inference_mode(), uncompiled():
            presence, message = self._detector(_batch(piece))  # [1, 2, T], [1, 16]
        return presence[0, 1], message[0]


def _pieces(speech: Samples) -> Iterator[tuple[Samples, int, int]]:
    """Parts of `speech`, with something around each, and where in it the part itself begins and ends."""
    for start in range(0, len(speech), _PIECE):
        before = min(start, _AROUND)
        end = min(start + _PIECE, len(speech))
        yield speech[start - before : end + _AROUND], before, before + end - start


def _batch(samples: Samples) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(samples, np.float32))[None, None]  # [1, 1, T]


def _digits(bits: torch.Tensor) -> str:
    number = int("".join("1" if bit else "0" for bit in bits.tolist()), 2)
    return f"{number:04x}"


def _load(file: Path) -> Any:
    """The network in `file`, ready to use. Raises EngineUnavailable."""
    with quiet():
        from audioseal import builder, loader  # noqa: PLC0415
    card = published_settings(_CARDS[file.name])
    kind, create = (
        (builder.AudioSealWMConfig, builder.create_generator)
        if file.name == GENERATOR_FILE
        else (builder.AudioSealDetectorConfig, builder.create_detector)
    )
    try:
        weights = _weights(file)
        network = create(loader.AudioSeal.parse_config(card, config_type=kind))
        with _strict(network), quiet():
            loader.load_state_dict(network, loader.convert_state_dict_for_scriptable_model(weights))
    except Exception as error:  # whatever is wrong with a file, the start says which
        raise EngineUnavailable(f"{file} is not the published file of AudioSeal: {type(error).__name__}.") from error
    return network.eval()


def published_settings(card: str) -> dict[str, Any]:
    """Of a network, by the name that the package has for it."""
    from audioseal import loader  # noqa: PLC0415
    from omegaconf import OmegaConf  # noqa: PLC0415

    settings: Any = OmegaConf.to_container(loader.load_local_model_config(card))
    del settings["checkpoint"]  # the address that it is published at
    return dict(settings)


def _weights(file: Path) -> Mapping[str, torch.Tensor]:
    """As the published files have them. Raises ValueError for a file that holds more than tensors and settings."""
    data = file.read_bytes()
    foreign = torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(data))
    unknown = [name for name in foreign if not name.startswith("omegaconf.") and name not in _PLAIN_GLOBALS]
    if unknown:
        raise ValueError(f"It holds {', '.join(unknown[:3])}.")
    with torch.serialization.safe_globals([_find(name) for name in foreign]):
        checkpoint = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    state: Mapping[str, torch.Tensor] = checkpoint.get("model", checkpoint)
    return state


def _find(name: str) -> Callable[..., Any]:
    module, _, attribute = name.rpartition(".")
    found: Callable[..., Any] = getattr(__import__(module, fromlist=[attribute]), attribute)
    return found


@contextmanager
def _strict(network: torch.nn.Module) -> Iterator[None]:
    """The package leaves a weight that a file does not have at random: here every one must have been set."""
    for parameter in network.parameters():
        torch.nn.init.constant_(parameter, float("nan"))
    yield
    if any(bool(torch.isnan(parameter).any()) for parameter in network.parameters()):
        raise ValueError("A weight is missing.")


@contextmanager
def quiet() -> Iterator[None]:
    """The package uses what torch has newer things for."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", DeprecationWarning)
        warnings.filterwarnings("ignore", "`torch.nn.utils.weight_norm` is deprecated", FutureWarning)
        yield


@contextmanager
def uncompiled() -> Iterator[None]:
    """The package compiles its layers at their first use, for each size anew: minutes, where they need a second."""
    from audioseal.libs.moshi.utils.compile import no_compile  # noqa: PLC0415

    with no_compile():
        yield
