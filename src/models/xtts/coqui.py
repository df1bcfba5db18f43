"""The one place where coqui-tts is imported, and where a checkpoint in the published layout is read."""

import importlib.util
import logging
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from src.domain.errors import EngineUnavailable
from src.utils.memory import give_back_freed

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
    model = model_class(config)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.load_checkpoint(config, checkpoint_dir=str(directory), eval=True, strict=True)
    except RuntimeError as error:
        raise EngineUnavailable(f"The XTTS checkpoint in {directory} does not fit its config.json.") from error
    fold_weight_norm(model.hifigan_decoder.waveform_decoder)
    give_back_freed()  # the checkpoint was read as a whole, beside the model
    return model.requires_grad_(False)


def example_voices(model: Any, most: int = 4) -> Tensor | None:
    """Conditioning latents [V, 32, D] of up to `most` speakers that came with the checkpoint; None: none did."""
    speakers = getattr(model.speaker_manager, "speakers", {})
    latents = [speaker["gpt_cond_latent"] for speaker in list(speakers.values())[:most]]
    return torch.cat(latents) if latents else None


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
