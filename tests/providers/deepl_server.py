"""DeepL as its documentation describes it, at /v2/translate: the translation of a text is the text with the target
before it.
"""

from tests.providers.provider_server import Answer, ProviderServer, Request, as_json

TARGETS = frozenset(
    "AR CS DE EN-GB EN-US ES ES-419 FR HU IT JA KO NL PL PT-BR PT-PT RU TR ZH-HANS ZH-HANT".split()  # noqa: SIM905 - a row of names
)
SOURCES = frozenset("AR CS DE EN ES FR HU IT JA KO NL PL PT RU TR ZH".split())  # noqa: SIM905
FORMAL = frozenset({"DE", "FR", "IT", "ES", "ES-419", "NL", "PL", "PT-BR", "PT-PT", "JA", "RU"})
MAX_BYTES = 128 * 1024


class DeepLServer(ProviderServer):
    """`glossary` is an id with the pair that it serves. `max_bytes` of a request's body; above it 413."""

    def __init__(self, key: str = "secret-key-of-the-test:fx", glossary: tuple[str, str, str] | None = None) -> None:
        super().__init__()
        self.key = key
        self.glossary = glossary
        self.max_bytes = MAX_BYTES

    @property
    def bodies(self) -> list[dict[str, object]]:
        return [request.json for request in self.requests]

    def answer(self, request: Request) -> Answer:
        if request.method != "POST" or request.path != "/v2/translate":
            return _problem(404, "Not found")
        if request.headers.get("Authorization") != f"DeepL-Auth-Key {self.key}":
            return _problem(403, "Invalid auth key.")
        if len(request.body) > self.max_bytes:
            return _problem(413, "Request Entity Too Large")
        body = request.json
        wrong = self._wrong(body)
        if wrong:
            return _problem(400, wrong)
        texts = body["text"]
        assert isinstance(texts, list)
        return as_json(
            {
                "translations": [
                    {"detected_source_language": body["source_lang"], "text": f"{body['target_lang']}:{text}"}
                    for text in texts
                ]
            }
        )

    def _wrong(self, body: dict[str, object]) -> str | None:
        """What DeepL would refuse about this body, with status 400."""
        texts = body.get("text")
        target, pair = body.get("target_lang"), (body.get("source_lang"), body.get("target_lang"))
        faults = {
            "Parameter 'text' not specified, or too many.": not isinstance(texts, list) or not 1 <= len(texts) <= 50,
            "The key belongs in the header.": "auth_key" in body,
            "Value for 'target_lang' not supported.": target not in TARGETS,
            "Value for 'source_lang' not supported.": pair[0] not in SOURCES,
            "'formality' is not supported.": body.get("formality") in ("more", "less") and target not in FORMAL,
            "The glossary does not match.": "glossary_id" in body and (body["glossary_id"], *pair) != self.glossary,
        }
        return next((message for message, true in faults.items() if true), None)


def _problem(status: int, message: str) -> Answer:
    return as_json({"message": message}, status)
