"""The API's client for a shell."""
