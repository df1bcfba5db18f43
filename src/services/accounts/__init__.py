"""What concerns a user as a whole: sessions, audit log, budgets, export, deletion."""
