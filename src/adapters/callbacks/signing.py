"""Bodies and signatures as https://www.standardwebhooks.com has them: receivers verify them with its libraries."""

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import UTC

from src.domain.callbacks import Callback


def body_of(callback: Callback) -> bytes:
    """The same bytes at each attempt. `timestamp` is when the job ended."""
    at = callback.created_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    message = {"type": callback.type, "timestamp": at, "data": callback.data}
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()


def signed_headers(message_id: str, body: bytes, keys: Sequence[bytes], at: int) -> dict[str, str]:
    """`at`: seconds since 1970, when the attempt is made. A signature for each key, so that a receiver may change from
    one to the next when it likes.
    """
    signed = b".".join((message_id.encode(), str(at).encode(), body))
    signatures = (base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
