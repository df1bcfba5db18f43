"""Voice profiles, the consent to them, and the challenges that verify it."""
