"""How long an attack is, and its figures, which are printed when it passes, too."""

import os
from typing import TypeVar

import pytest

T = TypeVar("T")

LONG = "LONG_TESTS" in os.environ
"""`scripts/test chaos` and `scripts/test security` set it; `scripts/test slow` runs the same tests short."""

long_only = pytest.mark.skipif(not LONG, reason="scripts/test chaos, scripts/test security")


def either(long: T, short: T) -> T:
    return long if LONG else short


def say(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with capsys.disabled():
        print(f"\n{text}")  # noqa: T201 - the figures are what such a suite is run for
