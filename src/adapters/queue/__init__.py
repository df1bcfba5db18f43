"""Where ids of waiting jobs stand in line."""
