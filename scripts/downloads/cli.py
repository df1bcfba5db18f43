"""Download published models: whisper:base, whisper:turbo, xtts (coqui/XTTS-v2), audioseal (facebook/audioseal) …

scripts/download_models.py --list
scripts/download_models.py whisper:base xtts
scripts/download_models.py whisper:turbo --from https://mirror.example.org/models
scripts/download_models.py whisper:turbo --from s3://bucket/models

Run again after an interruption, it goes on where it stopped. A mirror is a copy of the folder that this makes, with the
checksums in it: sha256sum *.pt xtts/* audioseal/* > SHA256SUMS

Exit codes: 0 all there, 1 failed, 2 wrong usage, 3 nobody reached, 4 disk too full, 5 licence not accepted, 130 Ctrl-C.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from scripts.downloads.catalogue import MODELS, Folders, Model, choose
from scripts.downloads.command import Origin, check_licence, download, listing, opened
from scripts.downloads.errors import DownloadError, Unreachable
from scripts.downloads.patience import Patience
from scripts.downloads.progress import Progress, for_terminal, size
from scripts.downloads.sources import HUB, WHISPER_HOST, XTTS_REVISION
from scripts.downloads.transfer import Transfer
from src.config.settings import Settings


def main(arguments: Sequence[str], patience: Patience | None = None) -> int:
    """The exit code. `patience`: None takes the usual deadlines."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.list and not options.models:
        parser.error(f"name a model: {', '.join(MODELS)}")
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors(include_input=False):
            name = ".".join(str(part) for part in problem["loc"]).upper() or "settings"
            print(f"{name}: {problem['msg']}", file=sys.stderr)
        return 2
    standard = Folders(settings.whisper_dir, settings.xtts_dir, settings.audioseal_dir)
    folders = standard if options.to is None else Folders(options.to, options.to / "xtts", options.to / "audioseal")
    if options.list:
        print(listing(folders))
        return 0
    progress = for_terminal(sys.stderr)
    try:
        models = choose(options.models)
        check_licence(models, accepted=settings.coqui_tos_agreed)
    except DownloadError as error:
        progress.say(str(error))
        return error.exit_code
    code = _run(models, folders, options, patience or Patience(), progress)
    if code == 0:
        print("\n".join(_what_to_set(models, folders, settings)))
    return code


def _run(
    models: Sequence[Model], folders: Folders, options: argparse.Namespace, patience: Patience, progress: Progress
) -> int:
    mirror = None if options.source == "hub" else options.source
    origin = Origin(mirror, options.hub, options.revision, options.whisper_host)
    transfer = None
    try:
        with opened(origin, patience) as source:
            transfer = Transfer(source, patience, progress)
            download(models, folders, transfer, progress, replace=options.replace)
    except KeyboardInterrupt:
        progress.say(f"Stopped. {_kept(transfer)}")
        return 130
    except DownloadError as error:
        progress.say(str(error))
        if isinstance(error, Unreachable):
            progress.say(_without_network(models) if mirror is None else "Is the mirror's address right, and is it up?")
        if kept := _kept(transfer):
            progress.say(kept)
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="download_models.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("models", nargs="*", metavar="MODEL", help="whisper:SIZE, xtts or audioseal; several at once")
    add("--list", action="store_true", help="print the models that there are")
    add(
        "--to",
        type=Path,
        metavar="DIR",
        help="instead of the settings' folders: DIR, DIR/xtts, DIR/audioseal",
    )
    add(
        "--from", dest="source", default="hub", metavar="URL", help="hub (the default), https://… or s3://bucket/prefix"
    )
    add("--replace", action="store_true", help="replace files of another content that lie in the way")
    add(
        "--hub",
        default=os.environ.get("HF_ENDPOINT") or HUB,
        metavar="URL",
        help="where XTTS-v2 and AudioSeal are published (%(default)s)",
    )
    add("--revision", default=XTTS_REVISION, help="commit or branch of XTTS-v2 there (%(default)s)")
    add("--whisper-host", default=WHISPER_HOST, metavar="URL", help="where Whisper is published (%(default)s)")
    return parser


def _kept(transfer: Transfer | None) -> str:
    """What of the current file is kept for the next run; empty when nothing is."""
    part = transfer.part if transfer else None
    if part is None or not part.is_file() or not part.stat().st_size:
        return ""
    return f"{size(part.stat().st_size)} are kept in {part}: run the same command again to go on."


def _without_network(models: Sequence[Model]) -> str:
    names = " ".join(model.name for model in models)
    return (
        "Without a way to the internet, take the models from a mirror of your own:\n"
        f"  scripts/download_models.py {names} --from https://mirror.example.org/models   (or s3://bucket/prefix)\n"
        "A mirror is a copy of the folder that this command fills on another machine, and SHA256SUMS made there:\n"
        "  sha256sum *.pt xtts/* audioseal/* > SHA256SUMS"
    )


def _what_to_set(models: Sequence[Model], folders: Folders, settings: Settings) -> list[str]:
    """The settings with which the service takes the models, where they differ from those it has."""
    lines = []
    for model in models:
        wanted = {}
        if model.name == "xtts":
            if folders.xtts.absolute() != settings.xtts_dir.absolute():
                wanted["XTTS_DIR"] = str(folders.xtts)
        elif model.name == "audioseal":
            if folders.audioseal.absolute() != settings.audioseal_dir.absolute():
                wanted["AUDIOSEAL_DIR"] = str(folders.audioseal)
        else:
            if folders.whisper.absolute() != settings.whisper_dir.absolute():
                wanted["WHISPER_DIR"] = str(folders.whisper)
            size_name = model.files[0].name.removesuffix(".pt")
            if size_name not in {settings.whisper_model, settings.whisper_model_high}:
                wanted["WHISPER_MODEL"] = size_name
        needs = " ".join(f"{name}={value}" for name, value in wanted.items())
        lines.append(f"{model.name} is there" + (f". For the service to take it: {needs}" if needs else "."))
    return lines
