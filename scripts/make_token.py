"""Make a token for trying out: `scripts/make_token.py --user USER [--scope "voice admin"] [--hours 1]`.

It reads the service's settings (environment, `.env`) for issuer, audience and JWT_SECRET; where these have a public key
or an issuer's key set, `--key` names the private key. The token is checked as the service would check it, and is all
that is written to standard output.

Not named token.py: that would hide Python's own module from every script in this folder.
"""

import argparse
import asyncio
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: E402
from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: E402
from jose import jwt  # noqa: E402

from src.bootstrap.access import build_access  # noqa: E402
from src.bootstrap.process import load_settings  # noqa: E402
from src.config.settings import Settings  # noqa: E402
from src.domain.errors import VoiceServiceError  # noqa: E402
from src.domain.identity import ALL_SCOPES, SCOPE_VOICE, SCOPES  # noqa: E402


class CannotMake(Exception):
    """The message says why."""


def _signing_key(settings: Settings, path: Path | None) -> tuple[str, str]:
    """The key, and the algorithm that goes with it. Raises CannotMake."""
    if settings.jwt_secret is not None:
        if path is not None:
            raise CannotMake("JWT_SECRET signs the tokens of this service; --key is for its other kinds of keys.")
        return settings.jwt_secret.get_secret_value(), "HS256"
    if path is None:
        raise CannotMake("This service has no JWT_SECRET: --key names the PEM file of the issuer's private key.")
    try:
        pem = path.read_bytes()
        key = load_pem_private_key(pem, password=None)
    except (OSError, ValueError, TypeError) as error:
        raise CannotMake(f"{path} cannot be read as a private key without a password: {type(error).__name__}") from None
    if isinstance(key, rsa.RSAPrivateKey):
        return pem.decode(), "RS256"
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return pem.decode(), "ES256"
    raise CannotMake(f"{path} holds neither an RSA key nor an EC key on P-256.")


def make(settings: Settings, arguments: argparse.Namespace) -> str:
    """Raises CannotMake."""
    unknown = set(arguments.scope.split()) - ALL_SCOPES
    if unknown:
        raise CannotMake(f"There is no scope {', '.join(sorted(unknown))}; there are {', '.join(SCOPES)}.")
    key, algorithm = _signing_key(settings, arguments.key)
    now = int(time.time())
    claims = {
        "iss": settings.jwt_issuer,
        "aud": settings.jwt_audience,
        "sub": arguments.user,
        "scope": arguments.scope,
        "iat": now,
        "exp": now + round(arguments.hours * 3600),
    }
    if arguments.jti is not None:
        claims["jti"] = arguments.jti
    headers = None if arguments.kid is None else {"kid": arguments.kid}
    return str(jwt.encode(claims, key, algorithm, headers=headers))


async def check(settings: Settings, token: str) -> None:
    """Raises VoiceServiceError for a token that the service would not take."""
    access = build_access(settings)
    async with access.running():
        if access.verifier is not None:
            await access.verifier.verify(token)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make a token for trying out.")
    parser.add_argument("--user", required=True, help="the claim `sub`: whose things the caller has")
    parser.add_argument(
        "--scope", default=SCOPE_VOICE, help=f"of {', '.join(SCOPES)}, with spaces between (%(default)s)"
    )
    parser.add_argument("--hours", type=float, default=1.0, help="how long it is good (%(default)g)")
    parser.add_argument("--jti", help="an id by which this token alone can be revoked")
    parser.add_argument("--key", type=Path, metavar="FILE", help="PEM of the issuer's private key, without JWT_SECRET")
    parser.add_argument("--kid", help="which of the issuer's keys that is, with JWT_JWKS_URL")
    return parser.parse_args()


def main() -> int:
    """Exit code 2: a setting or an option is wrong; 1: the service would not take this token."""
    arguments = _arguments()
    settings = load_settings()
    if settings is None:
        return 2
    if settings.auth_mode == "off":
        print("AUTH_MODE is off: this service asks nobody for a token.", file=sys.stderr)
        return 2
    try:
        token = make(settings, arguments)
        asyncio.run(check(settings, token))
    except CannotMake as error:
        print(error, file=sys.stderr)
        return 2
    except VoiceServiceError as error:
        print(f"The service would refuse it: {error.detail}", file=sys.stderr)
        return 1
    print(token)
    return 0


if __name__ == "__main__":
    sys.exit(main())
