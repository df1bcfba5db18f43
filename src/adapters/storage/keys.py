"""What a key is, for every storage."""

import re

_KEY = re.compile(r"(?=.{1,512}\Z)[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}(/[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}){0,7}")


def is_key(text: str) -> bool:
    """1 to 8 names of letters, digits, `_`, `-` and `.` joined by `/`; a name does not begin with a dot."""
    return _KEY.fullmatch(text) is not None


def checked(key: str) -> str:
    """The key itself. Raises ValueError for what is no key."""
    if not is_key(key):
        raise ValueError("A storage key has names of letters, digits, '_', '-' and '.', joined by '/'.")
    return key
