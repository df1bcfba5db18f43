"""src/api/asyncapi.yaml as the tests check messages by it."""

from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

_FILE = Path(__file__).resolve().parents[2] / "src" / "api" / "asyncapi.yaml"


@cache
def document() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(_FILE.read_text())
    return found


def messages(operation: str) -> dict[str, Any]:
    """The payloads of an operation, by the type that messages name."""
    references = (each["$ref"] for each in document()["operations"][operation]["messages"])
    named = [document()["components"]["messages"][reference.rpartition("/")[2]] for reference in references]
    return {message["name"]: message["payload"] for message in named}


def check(message: dict[str, Any], operation: str) -> None:
    """Raises jsonschema.ValidationError for what the document does not have."""
    payload = messages(operation).get(message.get("type", ""), False)
    schema = {"allOf": [payload], "components": document()["components"]}
    jsonschema.Draft202012Validator(schema).validate(message)
