"""XTTS-v2: coqui-tts's modules and weights, driven by a decode loop of our own."""
