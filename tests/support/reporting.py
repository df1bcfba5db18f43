"""Figures of long tests, which are printed when they pass, too."""

import pytest


def say(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with capsys.disabled():
        print(f"\n{text}")  # noqa: T201 - the figures are what such a suite is run for
