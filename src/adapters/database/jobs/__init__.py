"""Rows of jobs, engine calls, callbacks, idempotency keys and workers."""
