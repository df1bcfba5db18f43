"""A bucket whose server refuses the headers of S3's newer checksums, as older ones do."""

import http.client
from contextlib import ExitStack
from dataclasses import replace

from src.adapters.storage.s3 import S3Storage
from src.adapters.storage.s3_objects import PART_BYTES
from tests.providers.provider_server import Answer, ProviderServer, Request
from tests.servers.s3 import S3Server
from tests.support.storage_options import s3_options

_REFUSAL = b"<Error><Code>NotImplemented</Code><Message>A header is not implemented.</Message></Error>"
_OF_A_CONNECTION = ("connection", "date", "server", "transfer-encoding", "content-length")


class PlainS3(ProviderServer):
    """Stands before moto's server. `refused`: how many requests had such a header."""

    def __init__(self, behind: S3Server) -> None:
        super().__init__()
        self._port = behind.port
        self.refused = 0

    def answer(self, request: Request) -> Answer:
        if any(name.lower().startswith(("x-amz-checksum", "x-amz-sdk-checksum")) for name in request.headers):
            self.refused += 1
            return Answer(501, _REFUSAL, {"Content-Type": "application/xml"})
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        connection.request(request.method, request.path, request.body, dict(request.headers))
        got = connection.getresponse()
        body = got.read()
        kept = {name: value for name, value in got.getheaders() if name.lower() not in _OF_A_CONNECTION}
        length = {"Content-Length": got.headers["Content-Length"] or "0"} if request.method == "HEAD" else {}
        connection.close()
        return Answer(got.status, body, {**kept, **length})


async def test_it_keeps_files_all_the_same(s3_server: S3Server) -> None:
    large = bytes(range(256)) * (PART_BYTES // 256 + 1)
    with ExitStack() as stack:
        plain = stack.enter_context(PlainS3(s3_server))
        bucket = s3_server.new_bucket()
        storage = S3Storage(
            replace(s3_options(s3_server, bucket=bucket, timeout_seconds=60.0), endpoint_url=plain.url), 60
        )
        await storage.start()
        try:
            await storage.put("results/a/1.wav", b"small")
            await storage.put("results/a/2.wav", large)
            assert plain.refused == 1
            assert await storage.get("results/a/1.wav") == b"small"
            assert await storage.get("results/a/2.wav") == large
            await storage.delete("results/a/1.wav")
            await storage.delete_under("results")
            assert s3_server.keys(bucket) == []
            assert plain.refused == 1
            guarded = [each for each in plain.requests if "Content-MD5" in each.headers]
            assert {each.method for each in guarded} == {"PUT", "POST"}
        finally:
            await storage.close()
