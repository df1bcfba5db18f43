"""What Postgres needs beside its URL: time limits on each connection, and what its error codes mean to a caller.

The codes are SQLSTATE's, which appendix A of Postgres's manual lists: the first two characters are a class.
"""

import ssl
from enum import Enum
from typing import Any

import asyncpg
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

APPLICATION_NAME = "voice-translation"
"""What the server calls this service's connections in its lists."""

_CLIENT_GRACE_SECONDS = 1.0


class FailureKind(Enum):
    """Why a statement failed, as far as it matters to who must decide what now."""

    LOST = "the connection is gone, or was not to be had"
    SILENT = "nothing was heard from the server in time"
    CONFLICT = "another transaction was in the way, and this one was undone"
    BUSY = "the server, or what the statement waits for, is busy"
    REFUSED = "the server does not serve us: password, database name, disk, read-only"
    DEFECT = "the statement is wrong, or breaks a constraint"


_OF_CODE = {
    "40001": FailureKind.CONFLICT,  # serialization_failure
    "40P01": FailureKind.CONFLICT,  # deadlock_detected
    "23503": FailureKind.CONFLICT,  # foreign_key_violation: what the row refers to was deleted at the same time
    "53300": FailureKind.BUSY,  # too_many_connections
    "55P03": FailureKind.BUSY,  # lock_not_available
    "57014": FailureKind.BUSY,  # query_canceled: the statement took too long
    "25006": FailureKind.REFUSED,  # read_only_sql_transaction: this server is a standby now
    "3D000": FailureKind.REFUSED,  # invalid_catalog_name
}
_OF_CLASS = {
    "08": FailureKind.LOST,  # connection_exception
    "57": FailureKind.LOST,  # operator_intervention: it shuts down, starts up or recovers
    "28": FailureKind.REFUSED,  # invalid_authorization_specification
    "53": FailureKind.REFUSED,  # insufficient_resources: disk, memory
    "58": FailureKind.REFUSED,  # system_error: input and output
}


def with_driver(url: URL) -> URL:
    """`postgres://…` and `postgresql://…`, as providers write it, with the driver that this service has."""
    if url.drivername in ("postgres", "postgresql"):
        return url.set(drivername="postgresql+asyncpg")
    return url


class _Pooled(asyncpg.Connection):  # type: ignore[misc] # asyncpg has no types
    """Behind a pooler that gives each transaction another of the server's connections."""

    async def set_type_codec(self, *args: Any, **options: Any) -> None:
        async with self.transaction():  # it prepares a statement, and then executes it
            await super().set_type_codec(*args, **options)


_THROUGH_A_POOLER: dict[str, Any] = {
    "connection_class": _Pooled,
    # Statements without a name leave nothing on a connection that others get next.
    "prepared_statement_name_func": lambda: "",
    "prepared_statement_cache_size": 0,
    "statement_cache_size": 0,
    "server_settings": {"application_name": APPLICATION_NAME},  # poolers refuse others
}


def is_pooled(url: URL) -> bool:
    """Whether `pgbouncer=true` is in it: a pooler in transaction mode is before the server."""
    return url.query.get("pgbouncer") == "true"


def url_options(url: URL) -> tuple[URL, dict[str, Any]]:
    """The URL without `pgbouncer`, and without `ssl` (or `sslmode`) and `sslrootcert`, which mean what they mean to
    libpq; and the arguments of asyncpg for them. Without any: encrypted when the server offers it.

    Raises OSError for a file that is not there or holds no certificates.
    """
    rest, encrypted = _encryption(url.difference_update_query(("pgbouncer",)))
    return rest, {**(_THROUGH_A_POOLER if is_pooled(url) else {}), **encrypted}


def _encryption(url: URL) -> tuple[URL, dict[str, Any]]:
    query = {name: value if isinstance(value, str) else value[-1] for name, value in url.query.items()}
    mode, ca_file = query.get("ssl") or query.get("sslmode"), query.get("sslrootcert")
    rest = url.difference_update_query(("ssl", "sslmode", "sslrootcert"))
    if mode is None:
        return rest, {}
    if mode not in ("verify-ca", "verify-full") or ca_file is None:
        return rest, {"ssl": mode}
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = mode == "verify-full"
    return rest, {"ssl": context}


def connect_arguments(connect_seconds: float, statement_seconds: float) -> dict[str, Any]:
    """The server ends a statement after `statement_seconds`; the client gives a server up that keeps silent."""
    milliseconds = str(round(statement_seconds * 1000))
    return {
        "timeout": connect_seconds,
        "command_timeout": statement_seconds + _CLIENT_GRACE_SECONDS,
        "server_settings": {
            "application_name": APPLICATION_NAME,
            "statement_timeout": milliseconds,
            # of a process that hangs in the middle of a transaction, whose row locks others wait for
            "idle_in_transaction_session_timeout": milliseconds,
        },
    }


def failure_kind(error: DBAPIError | OSError) -> FailureKind:
    """What kind of failure this is. The client's own TimeoutError is an OSError."""
    if isinstance(error, TimeoutError):
        return FailureKind.SILENT
    if isinstance(error, OSError) or error.connection_invalidated:
        return FailureKind.LOST
    code = getattr(error.orig, "sqlstate", None) or ""
    known = _OF_CODE.get(code) or _OF_CLASS.get(code[:2])
    if known is not None:
        return known
    if code:
        return FailureKind.DEFECT
    # without a code it comes from the driver, and its InterfaceError also says that a value has the wrong type
    is_lost = isinstance(error, OperationalError) or "closed" in str(error.orig)
    return FailureKind.LOST if is_lost and isinstance(error, OperationalError | InterfaceError) else FailureKind.DEFECT


def cause_of(error: BaseException) -> str:
    """The class of the error that began it, for a log: its text may hold an address, a statement or a password."""
    while error.__cause__ is not None:
        error = error.__cause__
    return type(error).__name__
