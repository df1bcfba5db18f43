"""What the processor can multiply."""

import torch


def has_vnni() -> bool:
    """Whether products of 8 bits are added up in 32. Without, two of them are added in 16 first, which overflows."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_vnni") or capabilities.get("avx_vnni"))
