"""The machine under the networks: what its processor multiplies, and memory that is given back to it."""

import ctypes
import os
import sys
from contextlib import suppress

import torch


def has_bfloat16() -> bool:
    """Whether it multiplies bfloat16 itself. Where it does not, torch emulates that, at a fraction of float32's speed.

    ATEN_CPU_CAPABILITY=avx2, torch's own variable, holds for this too: any machine can be tried as one without.
    """
    if os.environ.get("ATEN_CPU_CAPABILITY", "").lower() in ("avx2", "default"):
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))


def give_back_freed() -> None:
    """Have the C library return what was freed: glibc keeps it otherwise, gigabytes after a checkpoint was loaded.

    Where the C library has no `malloc_trim` (macOS, musl) nothing happens.
    """
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):
            ctypes.CDLL(None).malloc_trim(0)
