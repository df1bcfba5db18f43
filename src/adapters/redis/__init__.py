"""What processes share through Redis, none of which is the truth; and what stands in for it in one process."""
