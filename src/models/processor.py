"""What the processor can multiply."""

import os

import torch


def has_bfloat16() -> bool:
    """Whether it multiplies bfloat16 itself. Where it does not, torch emulates that, at a fraction of float32's speed.

    ATEN_CPU_CAPABILITY=avx2, torch's own variable, holds for this too: any machine can be tried as one without.
    """
    if os.environ.get("ATEN_CPU_CAPABILITY", "").lower() in ("avx2", "default"):
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))
