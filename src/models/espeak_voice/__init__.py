"""The embedded voice: speech of espeak-ng or flite, its spectrum replaced by units of the reference recording.

base_voice.py speaks, world.py takes sound apart and puts it together, unit_selection.py converts, engine.py joins the
three.
"""
