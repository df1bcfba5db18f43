"""Audio and embeddings by key: in a local folder."""
