"""Checkpoints with random weights, in the layouts in which the real ones are published."""
