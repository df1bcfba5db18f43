"""Google Translate's mobile page at /m, as far as deep-translator reads it."""

from html import escape
from urllib.parse import parse_qs, urlsplit

from tests.providers.provider_server import Answer, ProviderServer, Request


class GoogleServer(ProviderServer):
    """Translates a text into the text with the target before it."""

    def answer(self, request: Request) -> Answer:
        address = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        if request.method != "GET" or address.path != "/m" or not {"q", "sl", "tl"} <= query.keys():
            return Answer(404, b"<html>404</html>")
        if len(request.path) > 16_000:
            return Answer(400, b"<html>400</html>")
        return page(f"{query['tl']}:{query['q']}")


def page(translation: str) -> Answer:
    """The page that shows this translation."""
    html = f'<html><body><div class="result-container">{escape(translation)}</div></body></html>'
    return Answer(200, html.encode(), {"Content-Type": "text/html; charset=UTF-8"})
