"""One real example each for the OpenAPI pages, taken from `./scripts/demo` and the same service (audio shortened)."""

from typing import Any

TRANSLATE_REQUEST: dict[str, Any] = {}
TRANSLATED: dict[str, Any] = {}
TRANSCRIBED: dict[str, Any] = {}
CLONED: dict[str, Any] = {}
PROFILE: dict[str, Any] = {}
