"""Write checkpoints with seeded random weights in the published layouts, for tests and measurements.

.venv/bin/python -m scripts.checkpoints whisper --size base --to checkpoints/random-base.pt
.venv/bin/python -m scripts.checkpoints xtts --size tiny --to checkpoints/xtts-tiny
.venv/bin/python -m scripts.checkpoints xtts --size full --endless --to checkpoints/xtts-full
.venv/bin/python -m scripts.checkpoints audioseal --to checkpoints/audioseal-random
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from scripts.checkpoints import audioseal, whisper, xtts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = parser.add_subparsers(dest="model", required=True)
    for name, sizes in (("whisper", whisper.DIMENSIONS), ("xtts", xtts.SIZES)):
        model = models.add_parser(name)
        model.add_argument("--size", choices=list(sizes), required=True)
        model.add_argument("--seed", type=int, default=0)
        model.add_argument("--to", type=Path, required=True, help="a .pt file" if name == "whisper" else "a folder")
    model.add_argument("--endless", action="store_true", help="never draw the stop code: lengths are fixed by hand")
    model = models.add_parser("audioseal")
    model.add_argument("--seed", type=int, default=0)
    model.add_argument("--to", type=Path, required=True, help="a folder")
    options = parser.parse_args()
    if options.model == "whisper":
        files = [whisper.make(options.size, options.to, options.seed)]
    elif options.model == "audioseal":
        audioseal.write(options.to, options.seed)
        files = list(options.to.iterdir())
    else:
        xtts.write(options.to, xtts.SIZES[options.size], options.seed, endless=options.endless)
        files = list(options.to.iterdir())
    print(f"wrote {options.to}: {sum(file.stat().st_size for file in files) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
