"""What the processor can multiply."""

import os

import torch


def has_vnni() -> bool:
    """Whether products of 8 bits are added up in 32. Without, two of them are added in 16 first, which overflows.

    ATEN_CPU_CAPABILITY=avx2, torch's own variable, holds for this too: any machine can be tried as one without.
    """
    if os.environ.get("ATEN_CPU_CAPABILITY", "").lower() in ("avx2", "default"):
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_vnni") or capabilities.get("avx_vnni"))
