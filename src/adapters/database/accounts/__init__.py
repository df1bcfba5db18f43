"""Rows that concern a user as a whole: audit log, budgets, revocations, deletions."""
