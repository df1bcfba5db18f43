"""Caches outside this process."""
