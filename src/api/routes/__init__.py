"""One module per path family."""
