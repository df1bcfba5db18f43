"""The use cases. They talk to engines and stores through `domain.ports` only."""
