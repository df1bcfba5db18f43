"""`python -m src.main` for machines that are slower than speech: its live sessions wait five minutes, not seconds."""

import sys

from src import main as service
from src.services.live.events import LiveLimits

LiveLimits.__init__.__defaults__ = (3600.0, 300.0, 300.0, 300.0, 300.0)

if __name__ == "__main__":
    sys.exit(service.main())
