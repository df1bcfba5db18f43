"""Every way that we know to call with a token that should not count, for each kind of key that a service may trust."""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from tests.fakes.engines import serve
from tests.servers.issuer import Issuer
from tests.support.options import applied
from tests.support.tokens import (
    AUDIENCE,
    ISSUER,
    NO_LIMITS,
    SECRET,
    PrivateKey,
    Signer,
    base64url,
    claims,
    ec_key,
    hs256,
    public_der,
    public_jwk,
    public_pem,
    rsa_key,
    with_key,
)

KINDS = ("secret", "RSA file", "EC file", "key set")
PATH = "/api/v1/usage"
LEEWAY = 30

Headers = list[tuple[bytes, bytes]]


@dataclass
class Target:
    """A running service, whom it trusts, and what an attacker knows: the published keys."""

    kind: str
    http: httpx.Client
    signer: Signer
    published: list[PrivateKey] = field(default_factory=list)
    issuer: Issuer | None = None
    elsewhere: str = "http://127.0.0.1:9"
    """The attacker's own server."""

    def answer(self, headers: Headers) -> tuple[int, str | None]:
        response = self.http.get(PATH, headers=headers)
        return response.status_code, response.json().get("code")

    def takes(self, token: str) -> bool:
        return self.answer(bearer(token)) == (200, None)


def bearer(token: str | bytes) -> Headers:
    return [(b"Authorization", b"Bearer " + (token if isinstance(token, bytes) else token.encode("latin-1")))]


@contextmanager
def targets(kind: str, folder: Path, key_set: dict[str, float] | None = None, **settings: Any) -> Iterator[Target]:
    """A service that trusts one kind of key. `key_set`: options of JwksKeys."""
    with ExitStack() as stack:
        keys: list[PrivateKey] = [rsa_key()] if kind == "RSA file" else [ec_key()] if kind == "EC file" else []
        issuer = None
        if kind == "secret":
            signer, settings = hs256(), settings | {"jwt_secret": SECRET}
        elif kind == "key set":
            issuer = stack.enter_context(Issuer())
            signer = issuer.add("current")
            issuer.add("other", ec_key())
            issuer.more.append({"kty": "oct", "k": base64url(b"known to all" * 4), "kid": "shared", "use": "sig"})
            keys, settings = [*issuer.keys.values()], settings | {"jwt_jwks_url": issuer.jwks_url}
        else:
            (folder / "public.pem").write_bytes(public_pem(keys[0]))
            signer, settings = with_key(keys[0]), settings | {"jwt_public_key_file": folder / "public.pem"}
        settings |= {"auth_mode": "jwt", "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}
        with applied({"src.bootstrap.access.JwksKeys": key_set or {}}):
            http = stack.enter_context(serve(folder / "data", **NO_LIMITS, **settings))
        yield Target(kind, http, signer, keys, issuer)


def attacks(target: Target) -> Iterator[tuple[str, Headers]]:
    """Each with the name of its kind."""
    for kind, made in (
        ("no bearer token", _without_a_token(target)),
        ("malformed", map(bearer, _malformed(target))),
        ("algorithm none", map(bearer, _none(target))),
        ("another algorithm or key", map(bearer, _other_keys(target))),
        ("public key as HMAC secret", map(bearer, _confused(target))),
        ("brings its own key, or crit", map(bearer, _own_keys(target))),
        ("kid", map(bearer, _kids(target))),
        ("claim missing or of a wrong type", map(bearer, _wrong_types(target))),
        ("wrong time", map(bearer, _wrong_times(target))),
        ("wrong issuer or audience", map(bearer, _wrong_parties(target))),
        ("signature of another form", map(bearer, _other_forms(target))),
    ):
        for headers in made:
            yield kind, headers


def _without_a_token(target: Target) -> Iterator[Headers]:
    good = target.signer.token(claims()).encode()
    yield []
    for value in (b"", b"Bearer", good, b"Basic " + good, b"Bearer" + good, b"Token " + good):
        yield [(b"Authorization", value)]
    yield [(b"Authorization", b"Bearer " + good + b", Bearer " + good)]
    yield [(b"Authorization", b"Bearer Bearer " + good)]
    yield [*bearer(good), *bearer(good)]
    yield [*bearer(good), (b"Authorization", b"Basic eDp5")]
    yield [(b"X-Authorization", b"Bearer " + good), (b"Cookie", b"token=" + good)]


def _malformed(target: Target) -> Iterator[str | bytes]:
    sign, good = target.signer, target.signer.token(claims())
    head, body, signature = good.split(".")
    usual = json.dumps({"alg": sign.algorithm, "kid": sign.kid}).encode()
    yield from ("a", "a.b", "..", "...", "a.b.c", "a.b.c.d.e", "null", "{}", "e30.e30.", "e30.e30.e30", "é.é.é")
    yield from (f"{good}.{signature}", f"{head}.{body}", f".{body}.{signature}", f"{head}..{signature}")
    yield from (
        f"{head} .{body}.{signature}",
        f"{good}=",
        f"{good}!",
        f"{good}é",
        f"!{good}",
        f"{head}.{body}\t.{signature}",
    )
    yield from (good[:-1], good + "A", good.swapcase(), good[::-1], good.encode() + b"\xff")
    yield from (sign.raw(each, b"{}") for each in (b"", b"[]", b"1", b"null", b"{", b"\xff", b"[" * 3000, usual[:-1]))
    yield from (sign.raw(usual, each) for each in (b"", b"[]", b"1", b"null", b"{", b"\xff", b"[" * 3000, b'"{}"'))
    yield sign.token(claims(padding="x" * 9000))
    yield "x" * 30_000


def _none(target: Target) -> Iterator[str]:
    for algorithm in ("none", "None", "NONE", "nOnE", "", None, ..., 0, False, [], ["none"], {"none": 1}):
        signed = target.signer.token(claims(), alg=algorithm)
        yield signed
        yield signed.rpartition(".")[0] + "."
        yield signed.rpartition(".")[0] + ".AA"


def _other_keys(target: Target) -> Iterator[str]:
    strangers = [with_key(rsa_key()), with_key(ec_key()), hs256(b"x" * 32), hs256(b""), hs256(b"secret")]
    strangers += [hs256(SECRET.encode(), algorithm=name) for name in ("HS384", "HS512")]
    if target.kind != "secret":
        strangers.append(hs256())
    for stranger, kid in product(strangers, (target.signer.kid, "other", ...)):
        yield stranger.token(claims(), kid=kid)
        yield stranger.token(claims(), alg=target.signer.algorithm, kid=kid)
    for name in ("HS256", "HS384", "RS256", "RS384", "PS256", "ES256", "ES384", "EdDSA", "hs256", "HS", ["RS256"]):
        if name != target.signer.algorithm:
            yield target.signer.token(claims(), alg=name)


def _confused(target: Target) -> Iterator[str]:
    keys: list[PrivateKey] = target.published or [rsa_key(), ec_key()]
    for key, algorithm in product(keys, ("HS256", "HS384", "HS512")):
        pem, der, jwk = public_pem(key), public_der(key), public_jwk(key, kid=target.signer.kid)
        known = [pem, pem.strip(), pem.replace(b"\n", b""), pem.replace(b"\n", b"\r\n"), der, base64.b64encode(der)]
        known += [json.dumps(jwk).encode(), json.dumps({"keys": [jwk]}).encode(), b"known to all" * 4]
        for secret, kid in product(known, (target.signer.kid, "other", "shared")):
            yield hs256(secret, kid, algorithm).token(claims())
            yield hs256(secret, kid, algorithm).token(claims(), alg=target.signer.algorithm)


def _own_keys(target: Target) -> Iterator[str]:
    mine = rsa_key()
    jwk = public_jwk(mine, kid="mine")
    members: list[dict[str, Any]] = [
        {"jwk": jwk},
        {"jku": f"{target.elsewhere}/jwks"},
        {"x5u": f"{target.elsewhere}/jwks"},
        {"x5c": [base64.b64encode(public_der(mine)).decode()]},
        {"crit": ["b64"], "b64": False},
        {"crit": []},
        {"jwk": {"kty": "oct", "k": base64url(b"x" * 32)}},
    ]
    for member, kid in product(members, (target.signer.kid, "mine")):
        yield with_key(mine).token(claims(), **member, kid=kid)
        yield hs256(b"x" * 32).token(claims(), **member, kid=kid)
        yield target.signer.token(claims(), **member)  # signed as it should be, and refused all the same


def _kids(target: Target) -> Iterator[str]:
    if target.issuer is None:
        return
    for kid in (
        "unknown",
        "",
        "CURRENT",
        "current ",
        "../current",
        "' OR 1=1 --",
        "x" * 3000,
        None,
        ...,
        1,
        True,
        ["current"],
    ):
        yield target.signer.token(claims(), kid=kid)
    yield target.signer.token(claims(), kid="other")
    yield with_key(target.published[1]).token(claims(), kid="current")
    yield hs256(b"known to all" * 4).token(claims(), kid="shared")


def _wrong_types(target: Target) -> Iterator[str]:
    soon = int(time.time()) + 600
    times: list[Any] = [..., None, "", "soon", str(soon), True, [soon], {"at": soon}, float("nan"), float("inf")]
    texts: list[Any] = [..., None, "", 7, True, [], {}, [[AUDIENCE]], {AUDIENCE: 1}]
    for name, value in [*product(("exp", "iat"), times), *product(("iss", "sub", "aud"), texts)]:
        yield target.signer.token(claims(**{name: value}))
    for value in times[1:]:
        yield target.signer.token(claims(nbf=value))
    for subject in ("a b", "a\n", "a\u0000b", "\ud800", "x" * 201, "\u007f"):
        yield target.signer.token(claims(subject))
    token_ids: list[Any] = ["", 7, True, [], "x" * 201, "\u0000", "\udfff"]
    yield from (target.signer.token(claims(jti=token_id)) for token_id in token_ids)
    yield target.signer.token(b"{}")


def _wrong_times(target: Target) -> Iterator[str]:
    now, year = int(time.time()), 366 * 24 * 3600
    late, early = now - LEEWAY - 1, now + LEEWAY + 60
    for changes in (
        {"exp": late},
        {"exp": 0},
        {"exp": -1},
        {"exp": late, "iat": late - 600},
        {"iat": early},
        {"iat": 2**62, "exp": 2**63},
        {"nbf": early},
        {"nbf": 2**63},
        {"exp": now + year + 60},
        {"exp": 2**63},
        {"exp": 1e300},
        {"iat": -1},
        {"iat": 0},
        {"iat": -1e300},
    ):
        yield target.signer.token(claims(**changes))


def _wrong_parties(target: Target) -> Iterator[str]:
    for issuer in (
        "https://other",
        f"{ISSUER}/",
        ISSUER.upper(),
        ISSUER[:-1],
        f" {ISSUER}",
        [ISSUER],
        ISSUER + "\u0000",
    ):
        yield target.signer.token(claims(iss=issuer))
    for audience in ("other", f"{AUDIENCE}s", AUDIENCE.upper(), AUDIENCE[:-1], ["other"], [""], f"{AUDIENCE} other"):
        yield target.signer.token(claims(aud=audience))


def _other_forms(target: Target) -> Iterator[str]:
    """Right or empty signatures that are not written as the algorithm has it, and claims that were signed otherwise."""
    good = target.signer.token(claims())
    text, _, signature = good.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    forms = [b"\0" * len(raw), b"\xff" * len(raw), raw[:-1], raw + b"\0", b"\0" + raw, raw[::-1], raw * 2]
    for key in target.published:
        if isinstance(key, rsa.RSAPrivateKey):
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
            forms += [key.sign(text.encode(), pss, hashes.SHA256())]
            forms += [key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA512())]
        else:
            order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
            forms += [key.sign(text.encode(), ec.ECDSA(hashes.SHA256())), order.to_bytes(32) * 2, (1).to_bytes(32) * 2]
    yield from (f"{text}.{base64url(form)}" for form in forms)
    other = target.signer.token(claims("bob")).split(".")
    head, body, _ = good.split(".")
    yield from (f"{head}.{other[1]}.{signature}", f"{head}.{body}.{other[2]}")


def mutations(target: Target) -> Iterator[str]:
    """A good token with one character changed, dropped or added, at every place."""
    good = target.signer.token(claims())
    for place, character in enumerate(good):
        for other in {"A", "_", ".", chr(ord(character) ^ 1)} - {character}:
            yield good[:place] + other + good[place + 1 :]
        yield good[:place] + good[place + 1 :]
        yield good[:place] + "A" + good[place:]
