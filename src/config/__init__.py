"""Settings: read once at start, by `main` and `bootstrap` only."""
