"""A moderation service of an operator's: real HTTP on 127.0.0.1, which fails as a test says."""

from pathlib import Path
from typing import Any

from tests.providers.provider_server import Answer, Request, as_json
from tests.servers.receiver import Receiver


class ModeratorServer(Receiver):
    """Flags every text that has `word`, as `threat`, high. `faults` and `always` as for any provider."""

    def __init__(self, word: str, certificate: tuple[Path, Path] | None = None) -> None:
        super().__init__(certificate)
        self.word = word

    def answer(self, request: Request) -> Answer:
        if self.word in " ".join(told(request)["texts"]):
            return as_json({"flagged": True, "categories": ["threat"], "severity": "high"})
        return as_json({"flagged": False, "categories": []})


def told(request: Request) -> dict[str, Any]:
    """The `data` of a request."""
    data = request.json["data"]
    assert isinstance(data, dict)
    return data
