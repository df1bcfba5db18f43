"""Model loaders and inference: one file or package per model. No queues, no HTTP, no database tables."""
