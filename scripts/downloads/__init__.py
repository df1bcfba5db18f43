"""Fetching published models: `scripts/download_models.py` is the command."""
