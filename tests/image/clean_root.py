"""An image made without a container engine: its Dockerfile's steps, in order, in a clean Debian below a folder.

Each stage begins as Debian's own packages make it, and its commands see nothing else of this machine but its network
and its package registries. This needs root, mmdebstrap, and util-linux's unshare and setpriv.
"""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tests.image.dockerfile import Argument, Context, Copy, Environment, Run, Stage, Workdir, parse, substitute

RELEASE = "bookworm"
HOW_TO_INSTALL = "It needs root and mmdebstrap: apt-get install mmdebstrap."

_DEBIAN = [
    f"deb http://deb.debian.org/debian {RELEASE} main",
    f"deb http://deb.debian.org/debian {RELEASE}-updates main",
    f"deb http://deb.debian.org/debian-security {RELEASE}-security main",
]
_LEFT_OUT = ("doc", "groff", "info", "lintian", "linda", "locale", "man")  # as in Debian's slim images
# What Docker's image of Debian tells apt: keep no packages, and no cache of lists.
_NOTHING_KEPT = """APT::Keep-Downloaded-Packages "false";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
"""
_BUILD_SECONDS = 3600.0
_CPU_WHEELS = "https://download.pytorch.org/whl/cpu"
_PYPI = "https://pypi.org/simple"

_INSIDE = """
set -eu
root=$1; shift
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind /etc/resolv.conf "$root/etc/resolv.conf"
"""
"""Run in a mount namespace of its own: nothing of it is left when its last process ends."""


@dataclass
class Image:
    """What `docker image inspect` would tell, and where the files are."""

    root: Path
    stage: Stage
    environment: dict[str, str]
    workdir: str = "/"
    seconds: dict[str, float] = field(default_factory=dict)
    """How long each command took."""

    @property
    def bytes(self) -> int:
        """On disk."""
        counted = subprocess.run(["du", "-s", "-B1", "-x", self.root], check=True, capture_output=True, text=True)
        return int(counted.stdout.split()[0])


def make_base(folder: Path) -> None:
    """A clean Debian, as the image that FROM names has it. Raises RuntimeError."""
    if os.geteuid() != 0 or shutil.which("mmdebstrap") is None:
        raise RuntimeError(HOW_TO_INSTALL)
    excluded = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT]
    _run(["mmdebstrap", "--variant=minbase", "--quiet", *excluded, RELEASE, str(folder), *_DEBIAN])
    (folder / "etc/apt/apt.conf.d/docker-clean").write_text(_NOTHING_KEPT)


def build(dockerfile: Path, context: Context, base: Path, folder: Path, arguments: Mapping[str, str]) -> Image:
    """The last stage, below `folder`. Raises RuntimeError with a command's last words when it fails."""
    made: dict[str, Image] = {}
    seconds: dict[str, float] = {}
    image = None
    for number, stage in enumerate(parse(dockerfile)):
        root = folder / (stage.name or f"stage-{number}")
        _run(["cp", "-a", "--reflink=auto", str(base), str(root)])
        image = Image(
            root, stage, {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, "/", seconds
        )
        _take_steps(image, context, made, arguments)
        if stage.name:
            made[stage.name] = image
    if image is None:
        raise RuntimeError(f"{dockerfile} has no stage")
    return image


def _take_steps(image: Image, context: Context, made: Mapping[str, Image], arguments: Mapping[str, str]) -> None:
    registry_values, registries = package_registries()
    given: dict[str, str] = {}
    for step in image.stage.steps:
        match step:
            case Environment(values):
                image.environment |= {
                    name: substitute(value, given | image.environment) for name, value in values.items()
                }
            case Argument(name, default):
                given[name] = arguments.get(name, default or "")
            case Workdir(path):
                image.workdir = path
                (image.root / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case Copy():
                _copy(step, image, context, made)
            case Run(command):
                began = time.monotonic()
                _run_inside(image, command, registry_values | given | image.environment, registries)
                image.seconds[command] = time.monotonic() - began


def _copy(step: Copy, image: Image, context: Context, made: Mapping[str, Image]) -> None:
    target = image.root / PurePosixPath(image.workdir, step.target).relative_to("/")
    for source in step.sources:
        if step.stage is not None:
            shutil.copytree(made[step.stage].root / source.lstrip("/"), target, symlinks=True, dirs_exist_ok=True)
            continue
        for path in context.files(source):
            within = path.relative_to(source) if (context.folder / source).is_dir() else None
            into_folder = step.target.endswith("/")
            place = target / within if within else target / path.name if into_folder else target
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(context.folder / path, place)


def _run_inside(image: Image, command: str, environment: Mapping[str, str], registries: Mapping[Path, str]) -> None:
    """Run as root in the image, with this machine's registries in view."""
    script = f'{_INSIDE}mkdir -p "$root/{_REGISTRIES}"\n'
    for place, inside in registries.items():
        make = "mkdir -p" if place.is_dir() else "touch"
        script += f'{make} "$root/{inside}"; mount --bind "{place}" "$root/{inside}"\n'
    script += 'exec chroot "$root" env -i "$@"\n'
    values = [f"{name}={value}" for name, value in environment.items()]
    arguments = ["-C", image.workdir, *values, "/bin/sh", "-c", command]
    try:
        _run(["unshare", "--mount", "--pid", "--kill-child", "sh", "-c", script, "sh", str(image.root), *arguments])
    finally:
        shutil.rmtree(image.root / _REGISTRIES, ignore_errors=True)


_REGISTRIES = "run/registries"


def package_registries() -> tuple[dict[str, str], dict[Path, str]]:
    """pip's settings on this machine as variables for a build, and the places that they name with those inside."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True)
    values: dict[str, list[str]] = {}
    for line in listed.stdout.splitlines():
        key, _, quoted = line.partition("=")
        values.setdefault(key.rpartition(".")[2].upper().replace("-", "_"), []).extend(quoted.strip("'").split())
    places: dict[Path, str] = {}
    environment = {}
    for name, words in values.items():
        if name in {"INDEX_URL", "EXTRA_INDEX_URL", "FIND_LINKS", "CERT", "TRUSTED_HOST", "TIMEOUT", "DEFAULT_TIMEOUT"}:
            seen = [_seen_inside(word, "INDEX" in name, places) for word in dict.fromkeys(words)]
            environment[f"PIP_{name}"] = " ".join(seen)
    return environment, places


def _seen_inside(word: str, is_index: bool, places: dict[Path, str]) -> str:
    """What to call a file or folder of this machine inside; any other word as it is. An index names files beside it."""
    path = Path(word.removeprefix("file://"))
    if not path.is_absolute() or not path.exists():
        return word
    place = path.parent if is_index else path
    inside = places.setdefault(place, f"{_REGISTRIES}/{len(places)}")
    seen = f"/{inside}/{path.name}" if is_index else f"/{inside}"
    return f"file://{seen}" if word.startswith("file://") else seen


def torch_index() -> str:
    """The one of PyTorch's CPU builds; where it does not answer, PyPI's, beside which this machine has a CPU build."""
    try:
        request = urllib.request.Request(f"{_CPU_WHEELS}/torch/", method="HEAD")  # noqa: S310 - a constant https address
        urllib.request.urlopen(request, timeout=3).close()  # noqa: S310
    except OSError:
        return _PYPI
    return _CPU_WHEELS


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_BUILD_SECONDS, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"exit code {done.returncode}:\n{done.stdout[-4000:]}")
