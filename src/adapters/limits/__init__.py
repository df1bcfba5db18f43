"""Counts of requests outside this process."""
