"""Write a Whisper checkpoint with random weights: python -m scripts.make_whisper_checkpoint base random.pt"""

import argparse
from pathlib import Path

from scripts.checkpoints.whisper import DIMENSIONS, make


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", choices=list(DIMENSIONS))
    parser.add_argument("path", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(make(arguments.size, arguments.path, arguments.seed))


if __name__ == "__main__":
    main()
