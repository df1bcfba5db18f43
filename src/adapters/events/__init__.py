"""How those who wait for a job learn that it ended."""
