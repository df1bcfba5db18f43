"""Two users of one service: whatever takes an id gives, changes and deletes only what is the caller's own.

Every operation of the served OpenAPI that takes an id is tried; a new one fails here until it has its case.
"""

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.fakes.engines import serve
from tests.support.messages import AUDIO, MESSAGE, PROFILE
from tests.support.tokens import WITH_TOKENS, as_user

SPOKEN = {"text": "Good morning.", "target_language": "es", "reference_audio": AUDIO}
VOICE = "/api/v1/voice"


def key(operation: str) -> dict[str, str]:
    return {"Idempotency-Key": f"{operation}: the same for both"}


@dataclass
class World:
    """What Ann has, and Bob, who wants it."""

    http: httpx.Client
    ann: dict[str, str] = field(default_factory=lambda: as_user("ann"))
    bob: dict[str, str] = field(default_factory=lambda: as_user("bob"))

    def __post_init__(self) -> None:
        self.job = self.made("translate", MESSAGE)
        self.profile: str = self.made("profile", PROFILE)["profile_id"]
        self.clone = self.made("clone", SPOKEN)
        self.job_id: str = self.job["job_id"]

    def made(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ann's, with her key."""
        answer = self.http.post(f"{VOICE}/{operation}", json=body, headers=self.ann | key(operation))
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = answer.json()
        return result

    def asks(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Bob does."""
        headers = self.bob | request.pop("headers", {})
        return self.http.request(method, path, headers=headers, **request)

    def refused(self, method: str, path: str, status: int = 404, code: str = "not_found", **request: Any) -> None:
        answer = self.asks(method, path, **request)
        assert (answer.status_code, answer.json()["code"]) == (status, code), f"{method} {path}: {answer.text}"
        assert self.job_id not in answer.text.replace(path, "")


Case = Callable[[World], None]
CASES: dict[str, Case] = {}
"""By method and path, as the OpenAPI has them."""


def case(*operations: str) -> Callable[[Case], Case]:
    def add(made: Case) -> Case:
        CASES.update(dict.fromkeys(operations, made))
        return made

    return add


@case(
    *(f"GET /api/v1/voice/{path}" for path in ("job/{job_id}", "job/{job_id}/events", "translate/{job_id}")),
    "DELETE /api/v1/voice/job/{job_id}",
)
def jobs(world: World) -> None:
    world.refused("GET", f"{VOICE}/job/{world.job_id}")
    world.refused("GET", f"{VOICE}/job/{world.job_id}/events")
    world.refused("GET", f"{VOICE}/translate/{world.job_id}")
    world.refused("DELETE", f"{VOICE}/job/{world.job_id}")


@case(*(f"{method} /api/v1/voice/profile/{{profile_id}}" for method in ("GET", "PATCH", "DELETE")))
def profiles(world: World) -> None:
    world.refused("GET", f"{VOICE}/profile/{world.profile}")
    world.refused("PATCH", f"{VOICE}/profile/{world.profile}", json={"name": "Bob"})
    world.refused("DELETE", f"{VOICE}/profile/{world.profile}")


@case("POST /api/v1/voice/translate")
def translate(world: World) -> None:
    world.refused("POST", f"{VOICE}/translate", json=MESSAGE | {"voice_profile_id": world.profile})
    in_anns_name = MESSAGE | {"voice_profile_id": world.profile, "user_id": "ann"}
    world.refused("POST", f"{VOICE}/translate", 403, "forbidden", json=in_anns_name)
    with_key = world.asks("POST", f"{VOICE}/translate", json=MESSAGE, headers=key("translate")).json()
    assert with_key["status"] == "completed"
    assert with_key["job_id"] != world.job_id


@case("POST /api/v1/voice/transcribe")
def transcribe(world: World) -> None:
    world.refused("POST", f"{VOICE}/transcribe", 403, "forbidden", json={"audio": AUDIO, "user_id": "ann"})


@case("POST /api/v1/voice/clone")
def clone(world: World) -> None:
    spoken = {"text": "Good morning.", "target_language": "es", "voice_profile_id": world.profile}
    world.refused("POST", f"{VOICE}/clone", json=spoken)
    world.refused("POST", f"{VOICE}/clone", json=spoken, headers={"Prefer": "respond-async"})
    world.refused("POST", f"{VOICE}/clone", 403, "forbidden", json=spoken | {"user_id": "ann"})
    with_key = world.asks("POST", f"{VOICE}/clone", json=SPOKEN, headers=key("clone")).json()
    assert with_key["audio_url"].partition("?")[0] != world.clone["audio_url"].partition("?")[0]


@case("POST /api/v1/voice/profile")
def save_profile(world: World) -> None:
    world.refused("POST", f"{VOICE}/profile", json=PROFILE | {"profile_id": world.profile})
    world.refused("POST", f"{VOICE}/profile", 403, "forbidden", json=PROFILE | {"user_id": "ann"})
    with_key = world.asks("POST", f"{VOICE}/profile", json=PROFILE, headers=key("profile")).json()
    assert (with_key["user_id"], with_key["profile_id"] != world.profile) == ("bob", True)


@case("GET /api/v1/voice/jobs")
def listing(world: World) -> None:
    mine = {job["job_id"] for job in world.asks("GET", f"{VOICE}/jobs").json()["jobs"]}
    second = world.http.post(f"{VOICE}/translate", json=MESSAGE, headers=world.ann)
    assert second.status_code == 200
    page = world.http.get(f"{VOICE}/jobs", params={"limit": 1}, headers=world.ann).json()
    assert page["next_cursor"]
    for params in ({}, {"cursor": page["next_cursor"]}):
        seen = {job["job_id"] for job in world.asks("GET", f"{VOICE}/jobs", params=params).json()["jobs"]}
        assert seen <= mine
        assert world.job_id not in seen


@case("GET /api/v1/audio/{key}")
def audio(world: World) -> None:
    """An address is the permission; none can be made from another, whose ever that is."""
    own = world.asks("POST", f"{VOICE}/translate", json=MESSAGE).json()["audio_url"]
    theirs = httpx.URL(world.job["audio_url"])
    query = dict(theirs.params)
    assert world.http.get(theirs).status_code == 200
    there, own_query = theirs.path, dict(httpx.URL(own).params)
    folder, _, name = there.rpartition("/")
    forged: list[tuple[str, dict[str, str]]] = [
        (there, {}),
        (there, own_query),
        (f"{folder}/x{name}", query),
        (f"{folder}/%2e%2e/{folder.rpartition('/')[2]}/{name}", query),
        (f"{folder}//{name}", query),
        (httpx.URL(own).path, query),
    ]
    for path, parameters in forged:
        for headers in ({}, world.bob, world.ann):
            answer = world.http.get(path, params=parameters, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), (path, parameters)


@case("GET /api/v1/voice/profiles", "GET /api/v1/usage")
def lists(world: World) -> None:
    assert world.profile not in world.asks("GET", f"{VOICE}/profiles").text
    usage = world.asks("GET", "/api/v1/usage").json()
    assert usage["user_id"] == "bob"
    mine = sum(day["requests"] for day in usage["days"])
    assert world.http.post(f"{VOICE}/translate", json=MESSAGE, headers=world.ann).status_code == 200
    assert sum(day["requests"] for day in world.asks("GET", "/api/v1/usage").json()["days"]) == mine


@case("POST /api/v1/voice/profile/challenge", "POST /api/v1/voice/profile/{profile_id}/verification")
def challenges(world: World) -> None:
    path = f"{VOICE}/profile/challenge"
    world.refused("POST", path, 403, "forbidden", json={"user_id": "ann"})
    bobs = world.asks("POST", path, json={}).json()["challenge_id"]
    anns = world.http.post(path, json={}, headers=world.ann).json()["challenge_id"]
    own = world.asks("POST", f"{VOICE}/profile", json=PROFILE).json()["profile_id"]
    theirs, mine = (f"{VOICE}/profile/{each}/verification" for each in (world.profile, own))
    world.refused("POST", theirs, json={"challenge_id": bobs, "audio": AUDIO})
    world.refused("POST", theirs, 403, "forbidden", json={"challenge_id": anns, "audio": AUDIO, "user_id": "ann"})
    with_anns = world.asks("POST", mine, json={"challenge_id": anns, "audio": AUDIO})
    unknown = world.asks("POST", mine, json={"challenge_id": "unknown", "audio": AUDIO})
    assert with_anns.status_code in (403, 404, 422)
    assert (with_anns.status_code, with_anns.json()["code"]) == (unknown.status_code, unknown.json()["code"])


@case("GET /api/v1/admin/audit", "POST /api/v1/admin/revocations", "DELETE /api/v1/admin/users/{user_id}")
def administration(world: World) -> None:
    world.refused("GET", "/api/v1/admin/audit", 403, "forbidden", params={"user_id": "ann"})
    world.refused("POST", "/api/v1/admin/revocations", 403, "forbidden", json={"user_id": "ann"})
    world.refused("DELETE", "/api/v1/admin/users/ann", 403, "forbidden")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serve(tmp_path_factory.mktemp("tenants"), min_reference_seconds=0.5, **WITH_TOKENS) as http:
        yield World(http)


@pytest.mark.parametrize("operation", sorted(CASES))
def test_another_users_things_are_not_there(world: World, operation: str) -> None:
    CASES[operation](world)
    assert world.http.get(f"{VOICE}/job/{world.job_id}", headers=world.ann).json()["status"] == "completed"
    assert world.http.get(f"{VOICE}/profile/{world.profile}", headers=world.ann).json()["user_id"] == "ann"
    assert world.http.get(world.job["audio_url"]).content == base64.b64decode(world.job["audio_base64"])


def test_every_operation_that_takes_an_id_is_tried(world: World) -> None:
    served = world.http.get("/openapi.json").json()
    with_ids = {
        f"{method.upper()} {path}"
        for path, item in served["paths"].items()
        for method, operation in item.items()
        if _ids(path, operation, served)
    }
    assert len(with_ids) >= 9
    assert with_ids - CASES.keys() == set(), "an operation that takes an id, and no case here"
    there = {f"{method.upper()} {path}" for path, item in served["paths"].items() for method in item}
    assert CASES.keys() - there == set(), "a case of an operation that is gone"


_ID = re.compile(r"(^|_)(id|ids|key|cursor|token)$", re.IGNORECASE)
_NOT_OF_A_USER = {"glossary_id"}
"""Ids of things that belong to the operator."""


def _ids(path: str, operation: dict[str, Any], served: dict[str, Any]) -> set[str]:
    """Names of what the operation takes that could name somebody's thing."""
    parameters = [_resolved(each, served) for each in operation.get("parameters", [])]
    names = {each["name"].replace("-", "_") for each in parameters} | set(re.findall(r"\{(\w+)", path))
    for content in operation.get("requestBody", {}).get("content", {}).values():
        names |= _properties(content["schema"], served)
    return {name for name in names if _ID.search(name)} - _NOT_OF_A_USER


def _properties(schema: dict[str, Any], served: dict[str, Any]) -> set[str]:
    schema = _resolved(schema, served)
    parts = [*([schema["items"]] if "items" in schema else []), *schema.get("anyOf", []), *schema.get("allOf", [])]
    own = schema.get("properties", {})
    return set(own).union(*(_properties(part, served) for part in [*parts, *own.values()]))


def _resolved(item: dict[str, Any], served: dict[str, Any]) -> dict[str, Any]:
    found: Any = served
    if "$ref" not in item:
        return item
    for part in item["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return dict(found)
