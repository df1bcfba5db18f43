"""An issuer of tokens: a real HTTP server with a JSON Web Key Set that changes as a test says."""

import ssl
from pathlib import Path
from typing import Any

from tests.providers.provider_server import Answer, ProviderServer, Request, as_json
from tests.support.tokens import PrivateKey, Signer, public_jwk, rsa_key, with_key


class Issuer(ProviderServer):
    """`keys` are published by their `kid`, `more` as they are. `certificate`: files of it and its key, for TLS."""

    def __init__(self, port: int = 0, certificate: tuple[Path, Path] | None = None) -> None:
        super().__init__(("127.0.0.1", port))
        self.keys: dict[str, PrivateKey] = {}
        self.more: list[Any] = []
        self._scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"

    @property
    def jwks_url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}/jwks"

    def add(self, kid: str, key: PrivateKey | None = None) -> Signer:
        """Publish a key, and sign with it."""
        self.keys[kid] = key or rsa_key()
        return with_key(self.keys[kid], kid)

    def answer(self, request: Request) -> Answer:
        assert (request.method, request.path) == ("GET", "/jwks")
        published = [public_jwk(key, kid=kid) for kid, key in self.keys.items()]
        return as_json({"keys": [*published, *self.more]})
