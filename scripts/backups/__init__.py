"""Backups of what the service keeps: `scripts/backup.py` makes them, `scripts/restore.py` brings one back."""
