"""What the service talks about: audio, speech, languages, jobs, errors, and the ports that engines and stores fill.

Nothing here imports a framework, a driver or a model library.
"""
