"""Everything that is held about a user, as rows and files."""

from collections.abc import AsyncIterator
from typing import Any, Protocol

Rows = list[dict[str, Any]]
"""Values are texts, numbers, times, and what JSON has."""


class Holdings(Protocol):
    """Raises Overloaded and EngineUnavailable when the database cannot answer."""

    @property
    def tables(self) -> tuple[str, ...]: ...

    def rows(self, table: str, user_id: str) -> AsyncIterator[Rows]:
        """The user's rows, a page at a time."""

    def paths(self, user_id: str) -> AsyncIterator[list[str]]:
        """Of the user's files, and of folders of them, with a slash at the end; some at a time."""
