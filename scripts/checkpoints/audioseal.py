"""AudioSeal's two files with seeded random weights, in the published layout: right in shape, deaf to any watermark."""

from pathlib import Path
from typing import Any

import torch

from src.models.audioseal_files import DETECTOR_FILE, GENERATOR_FILE
from src.models.audioseal_watermark import BITS, published_settings, quiet


def write(directory: Path, seed: int, *, always_hears: str | None = None) -> None:
    """`always_hears`: a message (four hexadecimal digits) that the detector finds in every sound."""
    with quiet():
        from audioseal import builder, loader  # noqa: PLC0415

    torch.manual_seed(seed)
    directory.mkdir(parents=True, exist_ok=True)
    generator_settings = published_settings("audioseal_wm_16bits")
    config = loader.AudioSeal.parse_config(generator_settings, config_type=builder.AudioSealWMConfig)
    _save(directory / GENERATOR_FILE, builder.create_generator(config), generator_settings)

    detector_settings = published_settings("audioseal_detector_16bits")
    config = loader.AudioSeal.parse_config(detector_settings, config_type=builder.AudioSealDetectorConfig)
    detector = builder.create_detector(config)
    if always_hears is not None:
        bits = [int(bit) for bit in f"{int(always_hears, 16):0{BITS}b}"]
        detector.detector[-1].weight.data.zero_()
        detector.detector[-1].bias.data = torch.tensor([-9.0, 9.0, *(18.0 * bit - 9.0 for bit in bits)])
    _save(directory / DETECTOR_FILE, detector, detector_settings)


def _save(file: Path, network: torch.nn.Module, settings: dict[str, Any]) -> None:
    """Convolutions are published as directions and lengths (weight norm), and with their settings as a DictConfig."""
    from omegaconf import OmegaConf  # noqa: PLC0415

    state = {}
    for name, weight in network.state_dict().items():
        published = name.replace(".inner_conv.", ".")
        if name.endswith(".inner_conv.weight"):
            norms = weight.flatten(1).norm(dim=1).reshape(-1, *(1,) * (weight.dim() - 1))
            state[f"{published}_g"], state[f"{published}_v"] = norms, weight * 3  # the length of a direction is nothing
        else:
            state[published] = weight
    torch.save({"xp.cfg": OmegaConf.create(settings), "model": state}, file)
