"""Write checkpoints with seeded random weights in the published layouts, for tests and measurements.

.venv/bin/python -m scripts.make_checkpoints xtts --size tiny --to checkpoints/xtts-tiny
.venv/bin/python -m scripts.make_checkpoints xtts --size full --endless --to checkpoints/xtts-full
"""

import argparse
from pathlib import Path

from scripts.checkpoints import xtts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=["xtts"])
    parser.add_argument("--size", choices=sorted(xtts.SIZES), default="tiny")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--endless", action="store_true", help="never draw the stop code: lengths are fixed by hand")
    parser.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    xtts.write(options.to, xtts.SIZES[options.size], options.seed, endless=options.endless)
    print(f"wrote {options.to}: {sum(file.stat().st_size for file in options.to.iterdir()) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
