"""Download published models: see scripts/downloads/cli.py, or --help."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    sys.path.insert(0, str(ROOT))
    from scripts.downloads.cli import main as download  # noqa: PLC0415 - found only now

    return download(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
