"""Voice translation: a spoken message in, the same message in another language and in the same voice out."""

__version__ = "0.1.0"
