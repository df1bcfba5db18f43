"""Marks of synthetic speech in files: written by this service, and read from anybody's."""
