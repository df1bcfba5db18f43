"""Rows of voice profiles, their consents and challenges."""
