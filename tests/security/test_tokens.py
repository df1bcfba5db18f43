"""Tokens that must not count, at full length, over HTTP: for each kind of key that a service may trust."""

import secrets
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from src.bootstrap.access import build_access
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable
from tests.attacks.token_matrix import KINDS, Target, attacks, bearer, mutations, targets
from tests.servers.issuer import Issuer
from tests.support.reporting import say
from tests.support.tokens import PrivateKey, claims, ec_key, private_pem, public_der, public_pem, rsa_key

pytestmark = pytest.mark.timeout(1200)

UNKNOWN_KEYS = 2000
EVERY = 20
"""After so many attacks a good token is tried: 401 for all would prove nothing."""


@pytest.mark.parametrize("kind", KINDS)
def test_every_attack_and_every_changed_character(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tried: Counter[str] = Counter()
    answers: Counter[tuple[int, str | None]] = Counter()
    wrong = []
    with Issuer() as elsewhere, targets(kind, tmp_path) as target:
        target.elsewhere = elsewhere.url
        changed = (("one character changed", bearer(token)) for token in mutations(target))
        for number, (name, headers) in enumerate([*attacks(target), *changed]):
            answer = target.answer(headers)
            tried[name] += 1
            answers[answer] += 1
            if answer != (401, "unauthenticated"):
                wrong.append((name, headers, answer))
            if number % EVERY == 0:
                assert target.takes(target.signer.token(claims()))
        fetched = len(elsewhere.requests)
        refused_by_administrators = _revocations(target)
    table = "\n".join(f"  {name:<34} {count:>5}" for name, count in tried.items())
    codes = ", ".join(f"{status} {code}: {count}" for (status, code), count in answers.items())
    say(
        capsys,
        f"{kind}: {sum(tried.values())} attacks, {codes}; {len(wrong)} let in; {fetched} requests to an address that a "
        f"token named; {refused_by_administrators} tokens refused after a revocation\n{table}",
    )
    assert wrong == []
    assert fetched == 0


def _revocations(target: Target) -> int:
    """How many tokens were refused after a revocation of them, or of their users; nobody else's are."""

    def signed(subject: str, scope: str = "voice", **changes: Any) -> str:
        return target.signer.token(claims(subject, scope, **changes))

    lost = [signed("carl", jti=f"lost-{number}") for number in range(10)]
    theirs = [signed("dora", jti=f"{number}") for number in range(10)] + [signed("dora")]
    others = [signed("carl", jti="kept"), signed("carl"), signed("lost-1")]
    admin = {"Authorization": f"Bearer {signed('root', 'admin')}"}
    bodies = [{"token_id": f"lost-{number}"} for number in range(10)] + [{"user_id": "dora"}]
    for body in bodies:
        assert target.http.post("/api/v1/admin/revocations", json=body, headers=admin).status_code == 200
    refused = [token for token in lost + theirs if target.answer(bearer(token)) == (401, "unauthenticated")]
    assert refused == lost + theirs
    assert all(target.takes(token) for token in others)
    return len(refused)


def test_made_up_keys_do_not_hammer_the_issuer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with targets("key set", tmp_path, {"refetch_seconds": 1.0}) as target:
        assert target.issuer is not None
        before, begun = len(target.issuer.requests), time.monotonic()
        for _ in range(UNKNOWN_KEYS):
            token = target.signer.token(claims(), kid=secrets.token_hex(8))
            assert target.answer(bearer(token)) == (401, "unauthenticated")
        seconds, fetched = time.monotonic() - begun, len(target.issuer.requests) - before
        assert target.takes(target.signer.token(claims()))
    say(capsys, f"{UNKNOWN_KEYS} tokens with made-up keys in {seconds:.1f} s: the issuer was asked {fetched} times")
    assert fetched <= seconds + 1


def test_keys_change_fifty_times_without_a_restart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes, slowest_new, slowest_old = 50, 0.0, 0.0
    with targets("key set", tmp_path, {"ttl_seconds": 0.2, "refetch_seconds": 0.05}) as target:
        assert target.issuer is not None
        old_kid, old = "current", target.signer
        keys: list[PrivateKey] = [rsa_key(), ec_key()]
        for number in range(changes):
            new = target.issuer.add(f"key-{number}", keys[number % 2])
            slowest_new = max(slowest_new, _until(target, new.token(claims()), 200))
            del target.issuer.keys[old_kid]
            slowest_old = max(slowest_old, _until(target, old.token(claims()), 401))
            assert target.takes(new.token(claims()))
            old_kid, old = f"key-{number}", new
    say(
        capsys,
        f"{changes} changes of the key: a new one good after at most {slowest_new:.2f} s, a withdrawn one refused "
        f"after at most {slowest_old:.2f} s, with a set that is fetched every 0.2 s",
    )


def _until(target: Target, token: str, status: int) -> float:
    begun = time.monotonic()
    while target.answer(bearer(token))[0] != status:
        assert time.monotonic() - begun < 60
        time.sleep(0.02)
    return time.monotonic() - begun


def test_starts_that_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {
        "private": private_pem(rsa_key()),
        "der": public_der(ec_key()),
        "small": public_pem(rsa_key(1024)),
        "empty": b"",
        "two": public_pem(rsa_key()) + public_pem(ec_key()),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    sources: list[dict[str, Any]] = [
        {},
        *({"jwt_secret": "x" * length} for length in range(32)),
        {"jwt_secret": public_pem(rsa_key()).decode()},
        *({"jwt_public_key_file": tmp_path / name} for name in [*files, "missing"]),
        {"jwt_jwks_url": "http://issuer.example.org/jwks"},
        {"jwt_jwks_url": "https://issuer.example.org/jwks", "jwt_secret": "x" * 32},
        {"jwt_secret": "x" * 32, "jwt_issuer": None},
        {"jwt_secret": "x" * 32, "jwt_audience": ""},
        {"auth_mode": "off", "host": "0.0.0.0"},
    ]
    refused = 0
    for source in sources:
        settings = {"auth_mode": "jwt", "jwt_issuer": "us", "jwt_audience": "voice", **source}
        with pytest.raises((ValidationError, EngineUnavailable)):
            build_access(Settings(_env_file=None, **settings))
        refused += 1
    say(capsys, f"{refused} of {len(sources)} starts with weak, wrong or contradictory settings refused")
