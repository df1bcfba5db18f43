"""Refuse a token, or every token that a user has now: `scripts/revoke.py --token-id JTI | --user USER`.

It reads the service's settings (environment, `.env`): run it where the service runs. What it did is in the audit log.
"""

import argparse
import asyncio
import getpass
import logging
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sqlalchemy import make_url  # noqa: E402

from src.bootstrap.access import running_sessions  # noqa: E402
from src.bootstrap.process import load_settings  # noqa: E402
from src.config.settings import Settings  # noqa: E402
from src.domain.errors import VoiceServiceError  # noqa: E402


async def revoke(settings: Settings, token_id: str | None, user_id: str | None) -> str:
    """What was done, for the operator. Raises Unavailable when the database does not answer."""
    by = f"operator:{getpass.getuser()}"
    async with running_sessions(settings) as sessions:
        if user_id is not None:
            done = await sessions.revoke_user(user_id, by)
        else:
            done = await sessions.revoke_token(token_id or "", by)
    return f"{done.subject}: tokens issued until {done.issued_until:%Y-%m-%d %H:%M:%S} UTC are refused."


def main() -> int:
    """Exit code 2: a setting is wrong; 1: the database does not answer, and nothing may have been revoked."""
    parser = argparse.ArgumentParser(description="Refuse a token, or every token that a user has now.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--token-id", metavar="JTI", help="the claim `jti` of the token")
    what.add_argument("--user", metavar="USER", help="the claim `sub` of the tokens")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    settings = load_settings()
    if settings is None:
        return 2
    if settings.auth_mode == "off":
        print("AUTH_MODE is off: this service asks nobody for a token.", file=sys.stderr)
        return 2
    try:
        done = asyncio.run(revoke(settings, arguments.token_id, arguments.user))
    except VoiceServiceError as error:
        print(f"Not revoked: {error.detail}", file=sys.stderr)
        return 1
    print(done)
    print(f"Kept in {make_url(settings.effective_database_url).render_as_string(hide_password=True)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
