"""What callers of a service on fake engines send."""

import base64
from typing import Any

AUDIO = base64.b64encode(b"any bytes: the decoder is a fake").decode()
MESSAGE: dict[str, Any] = {"audio": AUDIO, "target_language": "es", "source_language": "en"}
CONSENT = {"given": True, "statement": "I agree.", "recorded_at": "2025-11-21T10:00:00Z"}
PROFILE: dict[str, Any] = {"reference_audio": AUDIO, "consent": CONSENT}
