"""Memory that a program no longer uses, given back to the system."""

import ctypes
import sys
from contextlib import suppress


def give_back_freed() -> None:
    """Have the C library return what was freed: glibc keeps it otherwise, gigabytes after a checkpoint was loaded.

    Where the C library has no `malloc_trim` (macOS, musl) nothing happens.
    """
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):
            ctypes.CDLL(None).malloc_trim(0)
