"""The embedded voice: speech of Kokoro-82M or espeak-ng, its spectrum moved to that of the reference recording.

base_voice.py runs espeak-ng; phonemes.py, with japanese.py, says how a text is read, kokoro.py speaks that, in the
voice that is nearest. world.py takes sound apart and puts it together, unit_selection.py
converts, engine.py joins them.
"""
