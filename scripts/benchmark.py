"""Measure a part of the service: `scripts/benchmark.py --suite NAME [--device cpu|cuda] [--json FILE]`.

Each suite is a module in scripts/benchmarks/ with `run(arguments)`, which prints its tables and returns what it
measured, and where it has options of its own, `add_arguments(parser)`.
"""

import argparse
import importlib
import json
import platform
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUITES = ("service", "scale", "voice", "consent", "whisper", "hearing", "xtts", "pipeline", "live")


def main() -> None:
    sys.path.insert(0, str(ROOT))
    choice = argparse.ArgumentParser(add_help=False)
    choice.add_argument("--suite", choices=SUITES)
    suite = choice.parse_known_args()[0].suite
    parser = argparse.ArgumentParser(description="Measure a part of the service.")
    parser.add_argument("--suite", choices=SUITES, required=True, help="with --help: its own options")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured to FILE")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where the networks run")
    module = importlib.import_module(f"scripts.benchmarks.{suite}") if suite else None
    if module is not None and hasattr(module, "add_arguments"):
        module.add_arguments(parser)
    arguments = parser.parse_args()
    if arguments.device == "cuda":
        _require_cuda()
    result = importlib.import_module(f"scripts.benchmarks.{arguments.suite}").run(arguments)
    if arguments.json is not None:
        report = {
            "suite": arguments.suite,
            "python": platform.python_version(),
            "machine": platform.machine(),
            **result,
        }
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


def _require_cuda() -> None:
    import torch  # noqa: PLC0415 - not every suite needs it

    if not torch.cuda.is_available():
        sys.exit("--device cuda: torch finds no CUDA device here.")


if __name__ == "__main__":
    main()
