"""Health check of the image: exit code 0 when what runs in this container is well, else 1.

`python docker/probe.py` asks the service at /health/live. `python docker/probe.py worker` looks at the file that a
worker, which has no port, touches every five seconds.
"""

import http.client
import os
import sys
import time
from pathlib import Path

_SECONDS = 4.0
_SILENT_SECONDS = 30.0


def main(what: str) -> int:
    return 0 if (worker_lives() if what == "worker" else service_answers()) else 1


def service_answers() -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "8000")), timeout=_SECONDS)
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
