"""Other values than the service's own for what is no setting of it: `python -m tests.support.options src.main`.

Each is named as the module that uses it names it. A class gets other options,
{"src.bootstrap.process.ConnectionLimits": {"header_seconds": 2}}; a constant another value,
{"src.bootstrap.jobs.MAX_ATTEMPTS": 20}.
"""

import json
import os
import runpy
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pkgutil import resolve_name
from typing import Any
from unittest import mock

_VARIABLE = "TEST_OPTIONS"


def environment(options: Mapping[str, Any]) -> dict[str, str]:
    """For a process that calls `apply`."""
    return {_VARIABLE: json.dumps(options)}


@contextmanager
def applied(options: Mapping[str, Any]) -> Iterator[None]:
    """In this process."""
    with ExitStack() as stack:
        for name, value in options.items():
            stack.enter_context(mock.patch(name, _with_options(name, value)))
        yield


def apply() -> None:
    """Those of the environment, for the rest of this process."""
    for name, value in json.loads(os.environ.get(_VARIABLE, "{}")).items():
        mock.patch(name, _with_options(name, value)).start()


def _with_options(name: str, value: Any) -> Any:
    return partial(resolve_name(name), **value) if isinstance(value, dict) else value


if __name__ == "__main__":
    apply()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
