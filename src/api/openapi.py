"""What the served OpenAPI says of access: for every operation alike, so that no route can leave it out."""

from typing import Any

from fastapi import FastAPI

from src.api.error_handlers import OPENAI_PREFIX, problems
from src.api.middleware import required_scope
from src.api.middleware.auth import ON_BEHALF_OF
from src.domain.identity import SCOPES

_SCHEME = "token"
_METHODS = frozenset({"get", "post", "put", "patch", "delete"})

_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "A JSON Web Token with `iss`, `aud`, `sub` (the user), `iat`, `exp`, and `scope`, one text with "
    "spaces between. Scopes: " + "; ".join(f"`{scope}`: {allows}" for scope, allows in SCOPES.items()) + ".",
}
_ACTING = {
    "name": ON_BEHALF_OF,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[!-~]+$"},
    "description": "The id of the user that a service acts for; needs the scope `voice:service`. Other letters than "
    "ASCII's are sent in UTF-8.",
}


def describe_access(app: FastAPI, *, asks_tokens: bool) -> None:
    """Have `app` describe tokens, scopes and what they are refused with. `asks_tokens`: whether callers need one."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(plain(), asks_tokens=asks_tokens)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI would have it extended


def _described(document: dict[str, Any], *, asks_tokens: bool) -> dict[str, Any]:
    components = document.setdefault("components", {})
    components.setdefault("parameters", {})[ON_BEHALF_OF] = _ACTING
    if asks_tokens:
        components.setdefault("securitySchemes", {})[_SCHEME] = _BEARER
    refusals = {str(status): response for status, response in problems(401, 403, 422).items()}
    for path, item in document["paths"].items():
        scope = required_scope(path)
        for method in _METHODS & item.keys():
            operation = item[method]
            if scope is None:
                operation.get("responses", {}).pop("401", None)
                continue
            if not path.startswith(OPENAI_PREFIX):
                operation["responses"] = {**refusals, **operation.get("responses", {})}
            operation.setdefault("parameters", []).append({"$ref": f"#/components/parameters/{ON_BEHALF_OF}"})
            if asks_tokens:
                operation["security"] = [{_SCHEME: [scope]}]
    return document
