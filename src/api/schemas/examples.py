"""One real example for each body: what `./scripts/demo` sends and gets (audio, signatures shortened)."""

import json
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

_EXAMPLES: dict[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))


def example(name: str) -> ConfigDict:
    """The `model_config` of a model whose example has this name."""
    return ConfigDict(json_schema_extra={"example": _EXAMPLES[name]})
