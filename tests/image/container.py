"""A container made with util-linux: a process in an image's root as compose would start it there.

It is the image's user without a capability, its root is read-only but for what compose mounts, and it is process 1. It
shares this machine's network.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.image.clean_root import Image

_MEMORY = "noexec,nosuid,nodev"  # as Docker mounts a tmpfs
VOLUMES = ("/models", "/var/cache/numba")
"""New ones, which begin with what the image has there."""

_SETUP = f"""
set -eu
root=$1 user=$2; shift 2
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o {_MEMORY},mode=1777,size=512m tmpfs "$root/tmp"
mount -t tmpfs -o {_MEMORY},mode=0700,uid=$user,gid=$user,size=64m tmpfs "$root/data"
for volume in {" ".join(VOLUMES)}; do
  mount -t tmpfs tmpfs "$root/mnt"
  cp -a "$root$volume/." "$root/mnt"
  mount --move "$root/mnt" "$root$volume"
done
mount -o remount,bind,ro "$root"
exec chroot "$root" "$@"
"""
_SECONDS = 180.0


class Container:
    """A running one. `pid` is its process 1, as this machine numbers it."""

    def __init__(self, image: Image, process: subprocess.Popen[bytes], environment: Mapping[str, str]) -> None:
        self._image, self._process, self._environment = image, process, environment
        self.pid = _process_1(process, Path(image.stage.entrypoint[0]).name)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def exec(self, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run one more command in it, as `docker exec` does."""
        inside = _as_user(self._image, {**self._environment, **settings}, list(command))
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--root"]
        return subprocess.run(
            [*enter, *inside], capture_output=True, text=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL
        )

    def stop(self, grace_seconds: float) -> int:
        """SIGTERM, as `docker stop`; the exit code. Raises subprocess.TimeoutExpired after the grace."""
        os.kill(self.pid, signal.SIGTERM)
        return self._process.wait(grace_seconds)


@contextmanager
def running(
    image: Image, log: Path, settings: Mapping[str, str], command: list[str] | None = None
) -> Iterator[Container]:
    """A container of `image` with these variables beside its own; killed at the end, if it is still there."""
    environment = {**image.environment, **settings}
    words = [*image.stage.entrypoint, *(command or image.stage.command)]
    inside = _as_user(image, environment, words)
    user = (image.stage.user or "0").partition(":")[0]
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "sh", "-c", _SETUP, "sh", str(image.root), user, *inside],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield Container(image, process, environment)
        finally:
            _kill(process)


def _process_1(process: subprocess.Popen[bytes], name: str) -> int:
    """The child of unshare, once it is the container's own program. 0: it has ended before."""
    deadline = time.monotonic() + _SECONDS
    while process.poll() is None:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{name} did not start")
        for child in _children(process):
            with suppress(FileNotFoundError):
                if Path(f"/proc/{child}/comm").read_text().strip() == name:
                    return child
        time.sleep(0.01)
    return 0


def _kill(process: subprocess.Popen[bytes]) -> None:
    """All of the container's processes: they end before unshare learns that process 1 has."""
    for child in _children(process):
        os.kill(child, signal.SIGKILL)
    try:
        process.wait(_SECONDS)
    finally:
        process.kill()
        process.wait(10)


def _children(process: subprocess.Popen[bytes]) -> list[int]:
    """None once it has ended."""
    try:
        return [int(child) for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _as_user(image: Image, environment: Mapping[str, str], command: list[str]) -> list[str]:
    user, _, group = (image.stage.user or "0:0").partition(":")
    no_rights = ["--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
    values = [f"{name}={value}" for name, value in environment.items()]
    return [
        "setpriv",
        f"--reuid={user}",
        f"--regid={group}",
        *no_rights,
        "env",
        "-i",
        "-C",
        image.workdir,
        *values,
        *command,
    ]
