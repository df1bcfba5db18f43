"""One of several processes of a service with a limit: sends itself requests through the whole edge.

`python -m tests.servers.limited_process REDIS_URL LIMIT REQUESTS` waits for a line on its standard input, and writes
how many requests were served and how many refused.
"""

import asyncio
import collections
import json
import sys

from src.adapters.redis.limits import RedisCounter
from src.adapters.redis.link import RedisLink
from src.api.middleware import Edge
from tests.support.edge_app import client, edge_app


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main(url: str, limit: int, requests: int) -> None:
    link = RedisLink(url, 10.0)
    await link.start()
    edge = Edge(max_body_bytes=1000, requests_per_minute=limit, counter=RedisCounter(link, 1.0))
    async with client(edge_app(edge)) as http:
        say("ready")
        await asyncio.to_thread(sys.stdin.readline)
        answers = await asyncio.gather(*(http.get("/api/v1/whoami/x") for _ in range(requests)))
    assert link.notices() == (), link.notices()
    await link.close()
    say(json.dumps(collections.Counter(answer.status_code for answer in answers)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
