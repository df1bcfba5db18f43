"""A LibreTranslate server: its languages, and translations that are the text with the target before it."""

from tests.providers.provider_server import Answer, ProviderServer, Request, as_json

CODES = ("en", "fr", "pt-BR", "zh-Hant", "zh-Hans", "uk")


class LibreTranslateServer(ProviderServer):
    """`key` None: it asks for none."""

    def __init__(self, key: str | None = None) -> None:
        super().__init__()
        self.key = key

    def answer(self, request: Request) -> Answer:
        if (request.method, request.path) == ("GET", "/languages"):
            return as_json([{"code": code, "name": code, "targets": list(CODES)} for code in CODES])
        if (request.method, request.path) != ("POST", "/translate"):
            return as_json({"error": "Not found"}, 404)
        body = request.json
        if body.get("api_key") != self.key:
            return as_json({"error": "Invalid API key"}, 403)
        if body["source"] not in CODES or body["target"] not in CODES:
            return as_json({"error": f"{body['target']} is not supported"}, 400)
        texts = body["q"]
        assert isinstance(texts, list)
        return as_json({"translatedText": [f"{body['target']}:{text}" for text in texts]})
