"""What this deployment is: its health, and the languages that it can do."""
