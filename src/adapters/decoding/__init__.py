"""Untrusted audio bytes to samples, with PyAV, in a process that may be killed."""
