"""Health check of the image: exit code 0 when what runs in this container is well, else 1.

`python docker/probe.py` asks the service at /health/live. `python docker/probe.py worker` looks at the file that a
worker, which has no port, touches every five seconds.
"""

import http.client
import os
import ssl
import sys
import time
from pathlib import Path

_SECONDS = 4.0
_SILENT_SECONDS = 30.0


def main(what: str) -> int:
    return 0 if (worker_lives() if what == "worker" else service_answers()) else 1


def service_answers() -> bool:
    port = int(os.environ.get("PORT", "8000"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    if os.environ.get("TLS_CERTIFICATE_FILE"):  # whose name is not this address
        unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=_SECONDS, context=unchecked)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def worker_lives() -> bool:
    try:
        touched = (Path(os.environ.get("DATA_DIR", "var")) / "worker.alive").stat().st_mtime
    except OSError:
        return False
    return time.time() - touched < _SILENT_SECONDS


if __name__ == "__main__":
    sys.exit(main("".join(sys.argv[1:])))
