"""The files of Kokoro-82M, and whether they are whole; known without loading the network."""

import hashlib
from pathlib import Path

from src.domain.errors import EngineUnavailable

NETWORK_FILE = "network.int8.onnx"
"""Inputs: `tokens` int64 [1, N], `style` float32 [1, 256], `speed` float32 [1]; output: sound at 24 kHz."""
VOICES_FILE = "voices.bin"
"""float32 [50, 510, 256], in the order of VOICES: the style of each voice for each number of tokens."""

DIGESTS = {
    VOICES_FILE: "06385801b625a85619ac1ca0cd7802cbd0d2fa218c57a05f4d9fd497adcb9397",
    NETWORK_FILE: "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
}
"""SHA-256 of each file."""

VOICES = tuple(
    """af_alloy af_aoede af_bella af_heart af_jessica af_kore af_nicole af_nova af_river af_sarah af_sky am_adam am_echo
    am_eric am_fenrir am_liam am_michael am_onyx am_puck am_santa bf_alice bf_emma bf_isabella bf_lily bm_daniel
    bm_fable bm_george bm_lewis ef_dora em_alex em_santa ff_siwis if_sara im_nicola jf_alpha jf_gongitsune jf_nezumi
    jf_tebukuro jm_kumo pf_dora pm_alex pm_santa zf_xiaobei zf_xiaoni zf_xiaoxiao zf_xiaoyi zm_yunjian zm_yunxi
    zm_yunxia zm_yunyang""".split()  # noqa: SIM905 - words read better than strings
)
"""Names as published: a letter for the language, one for the sex. All but the Hindi ones."""

_BRING = "scripts/download_models.py kokoro"


def missing(folder: Path) -> str | None:
    """Why there is no network in `folder`; None: it is there. Raises EngineUnavailable for files that are damaged."""
    absent = [name for name in DIGESTS if not (folder / name).is_file()]
    if absent:
        return f"{folder} has no {' and no '.join(absent)}; `{_BRING}` brings it"
    for name, digest in DIGESTS.items():
        with (folder / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise EngineUnavailable(
                    f"{folder / name} is damaged, or is another file: `{_BRING} --replace` brings it anew."
                )
    return None
