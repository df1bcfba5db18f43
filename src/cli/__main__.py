"""The service from the command line: python -m src.cli translate message.m4a --to es -o answer.wav

It speaks to the server at --server, or at $VOICE_SERVER, or at http://127.0.0.1:8000; $VOICE_TOKEN is its bearer token.
Exit codes: 0 done, 1 the service refused or failed, 2 wrong usage, 3 no service there.
"""

import argparse
import base64
import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any

import httpx

from src.cli import calls, live

REFUSED, UNREACHABLE = 1, 3
_SECONDS = httpx.Timeout(30, read=330)


def main(arguments: list[str] | None = None) -> int:
    args = _parser().parse_args(arguments)
    if args.command == "serve":
        runpy.run_module("src.main", run_name="__main__")
        return 0
    token = os.environ.get("VOICE_TOKEN", "").strip()
    headers = {b"Authorization": f"Bearer {token}".encode()} if token else {}
    server = args.server.rstrip("/")
    try:
        with httpx.Client(base_url=f"{server}/api/v1/voice", headers=headers, timeout=_SECONDS) as http:
            answer: dict[str, Any] = args.run(http, args)
    except calls.Refused as error:
        _tell(error.problem if args.json else f"{error}", file=sys.stderr)
        return REFUSED
    except (httpx.TransportError, live.Away) as error:
        name = str(error) if isinstance(error, live.Away) else type(error).__name__
        _tell(f"No service answers at {args.server} ({name}).", file=sys.stderr)
        return UNREACHABLE
    for sentence in answer.get("degraded") or ():
        _tell(f"note: {sentence}", file=sys.stderr)
    sound = answer.pop("audio_base64", None)
    if sound is not None:
        args.output.write_bytes(base64.b64decode(sound))
    _tell(answer if args.json else args.say(answer, args))
    return 0


def _tell(told: object, file: Any = None) -> None:
    text = told if isinstance(told, str) else json.dumps(told, ensure_ascii=False, indent=2)
    print(text, file=file or sys.stdout)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    server = os.environ.get("VOICE_SERVER") or "http://127.0.0.1:8000"
    common.add_argument("--server", type=_address, default=server, help="%(default)s")
    common.add_argument("--json", action="store_true", help="print the whole answer, without its sound")
    file = argparse.ArgumentParser(add_help=False)
    file.add_argument("file", type=_readable, help="a recording")
    spoken = argparse.ArgumentParser(add_help=False)
    spoken.add_argument("--to", required=True, metavar="LANGUAGE", help="BCP-47: es, pt-BR")
    spoken.add_argument("-o", "--output", type=_writable, default=Path("answer.wav"), help="%(default)s")
    heard = argparse.ArgumentParser(add_help=False)
    heard.add_argument("--from", dest="source", metavar="LANGUAGE", help="of the recording; else it is detected")

    description, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m src.cli",
        description=description,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    translate = commands.add_parser("translate", parents=[common, file, spoken, heard], help="speech to speech")
    translate.add_argument("--voice", metavar="PROFILE", help="a profile's id; else the speaker's own")
    translate.set_defaults(run=calls.translate, say=lambda answer, args: f"{answer['translated_text']}\n{args.output}")
    transcribe = commands.add_parser("transcribe", parents=[common, file, heard], help="speech to text")
    transcribe.set_defaults(run=calls.transcribe, say=lambda answer, _: answer["text"])
    clone = commands.add_parser("clone", parents=[common, spoken], help="text to speech in a voice")
    clone.add_argument("text")
    voice = clone.add_mutually_exclusive_group(required=True)
    voice.add_argument("--voice", metavar="PROFILE", help="a profile's id")
    voice.add_argument("--reference", type=_readable, metavar="FILE", help="a recording of the voice")
    clone.set_defaults(run=calls.clone, say=lambda _, args: str(args.output))
    spoken_live = commands.add_parser("live", parents=[common, spoken, heard], help="speech to speech, meanwhile")
    spoken_live.add_argument(
        "file",
        type=_readable_or_stdin,
        nargs="?",
        help="a recording, which is sent as fast as it was spoken; -: PCM16, 24 kHz, mono; else the microphone",
    )
    spoken_live.add_argument(
        "--voice", default="speaker", metavar="PROFILE", help="a profile's id; else the speaker's own"
    )
    spoken_live.set_defaults(run=live.live, say=lambda _, args: str(args.output))
    profile = commands.add_parser("profile", parents=[common, file], help="keep a voice; prints its id")
    profile.add_argument("--name")
    profile.set_defaults(run=calls.profile, say=lambda answer, _: answer["profile_id"])
    commands.add_parser("serve", help="run the service, as `python -m src.main`")
    return parser


def _address(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError("it begins with http:// or https://")
    return url


def _writable(name: str) -> Path:
    path = Path(name)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{name} cannot be written")
    return path


def _readable(name: str) -> Path:
    path = Path(name)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {name}")
    return path


def _readable_or_stdin(name: str) -> str:
    return name if name == live.STDIN else str(_readable(name))


if __name__ == "__main__":
    sys.exit(main())
