"""A caller's own server, which callbacks are sent to: real HTTP on 127.0.0.1, which fails as a test says."""

import ssl
from pathlib import Path

from standardwebhooks import Webhook

from tests.providers.provider_server import Answer, ProviderServer, Request

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwC8wj2rG6yXc="


class Receiver(ProviderServer):
    """Takes every message, unless `faults` or `always` say otherwise. `certificate`: files of it and its key; then it
    speaks TLS, and `server_names` are those that clients asked for.
    """

    def __init__(self, certificate: tuple[Path, Path] | None = None, address: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__((address, port))
        self.server_names: list[str | None] = []
        self._scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            context.sni_callback = lambda _socket, name, _context: self.server_names.append(name)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def at(self, host: str, path: str = "/hook") -> str:
        return f"{self._scheme}://{host}:{self.port}{path}"

    def answer(self, request: Request) -> Answer:
        return Answer(204)


def verified(request: Request, secret: str = SECRET) -> dict[str, object]:
    """The message, after the published library has checked its signature and its time."""
    message: dict[str, object] = Webhook(secret).verify(request.body, dict(request.headers))
    return message
