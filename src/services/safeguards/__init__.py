"""What texts and answers pass through: moderation, and the marks of synthetic speech."""
