"""Each command as calls of the API. All raise Refused, and httpx's errors where no service answers."""

import argparse
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from tqdm import tqdm

from src.domain.jobs import Stage

_STAGES = list(Stage)


class Refused(Exception):
    """The service answered with a problem."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(str(problem.get("detail", problem)))
        self.problem = problem


def translate(http: httpx.Client, args: argparse.Namespace) -> dict[str, Any]:
    body = {
        "audio": _encoded(args.file),
        "target_language": args.to,
        "source_language": args.source,
        "voice_profile_id": args.voice,
        "options": {"return_audio_url": False},
        "priority": "interactive",  # somebody waits
    }
    return _post(http, args, "/translate", body, Prefer="respond-async")


def transcribe(http: httpx.Client, args: argparse.Namespace) -> dict[str, Any]:
    answer = _post(http, args, "/transcribe", {"audio": _encoded(args.file), "source_language": args.source})
    return dict(answer.get("transcript") or answer)  # the former where a job heard it


def clone(http: httpx.Client, args: argparse.Namespace) -> dict[str, Any]:
    body = {"text": args.text, "target_language": args.to, "voice_profile_id": args.voice, "return_audio_url": False}
    if args.reference is not None:
        body["reference_audio"] = _encoded(args.reference)
    return _post(http, args, "/clone", body)


def profile(http: httpx.Client, args: argparse.Namespace) -> dict[str, Any]:
    return _post(http, args, "/profile", {"reference_audio": _encoded(args.file), "name": args.name})


def _post(
    http: httpx.Client, args: argparse.Namespace, path: str, body: dict[str, Any], **headers: str
) -> dict[str, Any]:
    """The answer, also of a job that goes on when the server answers. Raises Refused."""
    response = http.post(path, json=body, headers=headers)
    answer = _body(response)
    return _followed(http, answer["job_id"], args) if response.status_code == httpx.codes.ACCEPTED else answer


def _followed(http: httpx.Client, job_id: str, args: argparse.Namespace) -> dict[str, Any]:
    """The job when it has ended, with a bar for its stages. Raises Refused."""
    with (
        http.stream("GET", f"/job/{job_id}/events") as response,
        tqdm(total=len(_STAGES), disable=args.json or None, leave=False, bar_format="{desc} {bar}") as bar,
    ):
        for kind, members in events(response):
            if kind == "error":
                raise Refused(members)
            if kind == "done":
                return _body(http.get(f"/job/{job_id}"))
            if kind == "progress" and members["stage"] is not None:
                bar.n = _STAGES.index(members["stage"])
                bar.set_description(members["stage"].replace("_", " "))
    raise Refused({"detail": f"The service was stopped. It goes on with job {job_id} when it is back."})


def _body(response: httpx.Response) -> dict[str, Any]:
    """Raises Refused."""
    if response.is_error:
        is_json = "json" in response.headers.get("content-type", "")
        raise Refused(response.json() if is_json else {"detail": f"{response.status_code} {response.reason_phrase}"})
    return dict(response.json())


def events(response: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    """Raises Refused."""
    if response.is_error:
        response.read()
        _body(response)
    kind = ""
    for line in response.iter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            yield kind, json.loads(value)


def _encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
