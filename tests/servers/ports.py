"""Where test servers listen."""

import random
import socket

_RANGE = range(10_000, 32_000)
"""Below the ports that the system gives to outgoing connections, which would take one while its server restarts."""

_given: set[int] = set()


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody has just now; by chance, as other test processes look for theirs."""
    while True:
        port = random.SystemRandom().choice(_RANGE)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _given:
            _given.add(port)
            return port
