"""Whisper's parts: checkpoint, network, decoding, word times, windows. They need the package openai-whisper."""
