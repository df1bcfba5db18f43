"""Checkpoints with seeded random weights in the published layouts: small for tests, full size for benchmarks."""
