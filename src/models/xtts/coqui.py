"""The one place where coqui-tts is imported, and where a checkpoint in the published layout is read."""

import importlib.util
import logging
import pickle
import sys
import types
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from src.domain.errors import EngineUnavailable

logger = logging.getLogger(__name__)

FILES = ("config.json", "model.pth", "vocab.json")
"""What a checkpoint folder must have. speakers_xtts.pth is read where it is there; mel_stats.pth is not."""


def prepare_torchaudio() -> None:
    """Let PyPI's torchaudio, a CUDA build, be imported under a CPU torch: keep its extension from being loaded.

    Nothing that XTTS uses needs the extension: `functional` and `transforms` are plain torch.
    """
    if torch.version.cuda is not None or "torchaudio" in sys.modules:
        return
    stub = types.ModuleType("torchaudio._extension")
    vars(stub).update(_IS_TORCHAUDIO_EXT_AVAILABLE=False, _IS_ALIGN_AVAILABLE=False, fail_if_no_align=_refusing)
    sys.modules["torchaudio._extension"] = stub


def _refusing(function: object) -> Callable[..., None]:
    def refuse(*_: object) -> None:
        raise EngineUnavailable(f"torchaudio's {function} needs its extension, which a CPU torch does not load.")

    return refuse


def xtts_classes() -> tuple[Any, Any]:
    """coqui-tts's (XttsConfig, Xtts). Raises EngineUnavailable when the package is not there."""
    prepare_torchaudio()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of coqui-tts's own dependencies, at import
            from TTS.tts.configs.xtts_config import XttsConfig  # noqa: PLC0415
            from TTS.tts.models.xtts import Xtts  # noqa: PLC0415
    except ImportError as error:
        raise EngineUnavailable(f"VOICE_ENGINE=xtts needs coqui-tts: {error}.") from error
    return XttsConfig, Xtts


class _Uninitialised(TorchFunctionMode):
    """Leaves new weights as memory is: random numbers for half a billion of them, which the checkpoint replaces, would
    take longer than all the rest of a start.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in _RANDOM:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


_RANDOM = frozenset({"normal_", "uniform_", "kaiming_uniform_"})
"""By name: transformers puts functions of its own in the place of torch's."""


def _mapped(model_class: Any) -> Any:
    """`Xtts` whose weights are the pages of model.pth, read when they are first used, shared by all processes."""

    class MappedXtts(model_class):  # type: ignore[misc]
        def _load_checkpoint(self, model_path: Path) -> dict[str, Tensor]:
            from TTS.tts.models.xtts import _legacy_safe_globals  # noqa: PLC0415

            with _legacy_safe_globals():  # the published file holds its settings as coqui-tts's classes
                checkpoint = torch.load(
                    model_path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(model_path)
                )
            weights: dict[str, Tensor] = checkpoint["model"]
            return weights

        def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = True) -> Any:
            return super().load_state_dict(state_dict, strict=strict, assign=assign)

    return MappedXtts


def load_xtts(directory: Path, *, licence_accepted: bool) -> Any:
    """A stock `Xtts` in eval mode on the CPU, strict on its keys, with weight norm folded.

    Raises EngineUnavailable when the licence was not accepted, a file is missing, or the weights do not fit.
    """
    if not licence_accepted:
        raise EngineUnavailable(
            "XTTS-v2 is under the Coqui Public Model License (non-commercial): read it at https://coqui.ai/cpml,"
            " and set COQUI_TOS_AGREED=1 to say that you accept it."
        )
    missing = [name for name in FILES if not (directory / name).is_file()]
    if missing:
        lacking = f"The XTTS checkpoint in {directory} lacks {', '.join(missing)}"
        raise EngineUnavailable(f"{lacking}: `scripts/download_models.py xtts` brings them.")
    config_class, model_class = xtts_classes()
    config = config_class()
    config.load_json(str(directory / "config.json"))
    try:
        with warnings.catch_warnings(), _Uninitialised():
            warnings.simplefilter("ignore")
            model = _mapped(model_class)(config)
            model.load_checkpoint(config, checkpoint_dir=str(directory), eval=True, strict=True)
    except (RuntimeError, pickle.UnpicklingError) as error:
        raise EngineUnavailable(f"The XTTS checkpoint in {directory} does not fit its config.json.") from error
    fold_weight_norm(model.hifigan_decoder.waveform_decoder)
    return model.requires_grad_(False)


def fold_weight_norm(module: torch.nn.Module) -> None:
    """Replace every weight-normed weight of `module` by the plain one, which each call would compute again."""
    for layer in module.modules():
        if torch.nn.utils.parametrize.is_parametrized(layer, "weight"):
            torch.nn.utils.parametrize.remove_parametrizations(layer, "weight")


def spoken_languages() -> frozenset[str]:
    """The service's codes of what this installation can speak: Chinese and Japanese need a package each."""
    languages = {"en", "es", "fr", "de", "it", "pt", "pl", "tr", "ru", "nl", "cs", "ar", "hu", "ko"}
    for code, package in (("zh", "pypinyin"), ("ja", "cutlet")):
        if importlib.util.find_spec(package) is not None:
            languages.add(code)
        else:
            logger.info("XTTS does not speak %s: %s is not installed", code, package)
    return frozenset(languages)
