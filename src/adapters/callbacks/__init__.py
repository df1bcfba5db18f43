"""Messages to servers that callers name."""
