"""DeepL as its documentation describes it, at /v2/translate: the translation of a text is the text with the target
before it.
"""

from tests.provider_server import Answer, ProviderServer, Request, as_json

TARGETS = frozenset(
    "AR CS DE EN-GB EN-US ES FR HU IT JA KO NL PL PT-BR PT-PT RU TR ZH-HANS".split()  # noqa: SIM905 - a row of names
)
SOURCES = frozenset("AR CS DE EN ES FR HU IT JA KO NL PL PT RU TR ZH".split())  # noqa: SIM905
FORMAL = frozenset({"DE", "FR", "IT", "ES", "NL", "PL", "PT-BR", "PT-PT", "JA", "RU"})
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
        if not isinstance(texts, list) or not 1 <= len(texts) <= 50:
            return "Parameter 'text' not specified, or too many."
        if "auth_key" in body:
            return "The key belongs in the header."
        if body.get("target_lang") not in TARGETS:
            return "Value for 'target_lang' not supported."
        if body.get("source_lang") not in SOURCES:
            return "Value for 'source_lang' not supported."
        if body.get("formality") in ("more", "less") and body["target_lang"] not in FORMAL:
            return "'formality' is not supported for given 'target_lang'."
        used = (body.get("glossary_id"), body["source_lang"], body["target_lang"])
        if used[0] is not None and used != self.glossary:
            return "The glossary does not match source and target language."
        return None


def _problem(status: int, message: str) -> Answer:
    return as_json({"message": message}, status)
