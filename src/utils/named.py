"""Things that only other processes need."""

import importlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Named:
    """A class or function to call, by its name: who calls it imports it, and not who sends it there."""

    module: str
    name: str

    def __call__(self, *args: Any, **options: Any) -> Any:
        return getattr(importlib.import_module(self.module), self.name)(*args, **options)
