"""What the process that reads untrusted bytes may do: little memory, no files to write, no network."""

import ctypes
import logging
import os
import resource
import sys

logger = logging.getLogger(__name__)

MEMORY_BYTES = 2**30
OPEN_FILES = 64
CPU_SECONDS_PER_CALL = 60

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000


def apply_limits() -> None:
    """Limit this process for good. Call it in a child, before what it limits is imported and before threads start."""
    sys.dont_write_bytecode = True  # no file may grow, so trying to write one is a waste
    limits = {"RLIMIT_AS": MEMORY_BYTES, "RLIMIT_NOFILE": OPEN_FILES, "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0}
    for name, value in limits.items():
        _limit(name, value)
    if not _leave_network():
        logger.info("the decoder keeps its network: this platform does not let an ordinary process give it up")
    renew_cpu_limit()


def renew_cpu_limit() -> None:
    """Allow this process CPU_SECONDS_PER_CALL more seconds of processor time; then the kernel kills it."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = int(usage.ru_utime + usage.ru_stime) + 1 + CPU_SECONDS_PER_CALL
    if hard == resource.RLIM_INFINITY or soft < hard:
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _limit(name: str, value: int) -> None:
    """Set a limit where the platform has it; macOS refuses some."""
    kind = getattr(resource, name, None)
    if kind is None:
        return
    try:
        hard = resource.getrlimit(kind)[1]
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (allowed, allowed))
    except (OSError, ValueError) as error:
        logger.info("the decoder runs without %s: %s", name, error)


def _leave_network() -> bool:
    """Move to a network namespace without interfaces. An ordinary user needs a user namespace of his own for it."""
    if sys.platform != "linux":
        return False
    unshare = ctypes.CDLL(None, use_errno=True).unshare
    flags = _CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWUSER | _CLONE_NEWNET
    return bool(unshare(flags) == 0)
