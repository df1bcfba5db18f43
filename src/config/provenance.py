"""The settings of the marks on answers; `Settings` has them among its own."""

from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator
from pydantic_settings import BaseSettings

from src.config.values import HttpAddress


class ProvenanceSettings(BaseSettings):
    """See `Settings`."""

    c2pa_certificate_file: Path | None = None
    """PEM of the certificate that signs answers, and of those above it. None: one made once and kept in `data_dir`,
    which nobody but this service knows."""
    c2pa_private_key_file: Path | None = None
    """PEM of its key, without a password: EC, Ed25519, or RSA from 2048 bits."""
    c2pa_timestamp_url: HttpAddress | None = None
    """An authority (RFC 3161) that is asked, for each answer, to attest when it was signed. None: the manifest has this
    machine's word for it."""
    c2pa_trust_anchors_file: Path | None = None
    """PEM of issuers that /api/v1/voice/detect trusts beside this deployment's own. None: nobody else."""

    watermark: Literal["auto", "none", "audioseal"] = "auto"
    """auto: AudioSeal when its weights are there, else none. audioseal: the start fails without them."""
    audioseal_dir: Path = Path("checkpoints/audioseal")
    """The published files of AudioSeal: generator_base.pth, detector_base.pth."""

    @model_validator(mode="after")
    def _check_certificate(self) -> Self:
        if (self.c2pa_certificate_file is None) != (self.c2pa_private_key_file is None):
            raise ValueError("C2PA_CERTIFICATE_FILE and C2PA_PRIVATE_KEY_FILE go together.")
        return self
