"""Ids of waiting jobs, on their way to workers."""
