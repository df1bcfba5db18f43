"""Restore a backup: see scripts/backups/restore_cli.py, or --help."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    sys.path.insert(0, str(ROOT))
    from scripts.backups.restore_cli import main as restore  # noqa: PLC0415 - found only now

    return restore(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
