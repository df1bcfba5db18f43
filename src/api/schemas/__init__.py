"""The JSON of requests and responses, as pydantic models."""
