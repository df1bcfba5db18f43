"""Fixtures that start real servers."""

from tests.servers.redis import redis_server

__all__ = ["redis_server"]
