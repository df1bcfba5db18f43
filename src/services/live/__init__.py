"""Speech that is translated while it goes on, free of any web framework. README.md has the protocol; `session` is read
first.

intake        what was sent and not yet heard; how fast it came
ear           listens to it, and says what an utterance is
endpointing   where utterances begin and end
agreement     words that are sure while somebody still speaks
echo          the session's own voice, back from the loudspeaker
voice         whose voice the translation is spoken in
stages        an utterance is understood, and its translation is spoken
events        what a session is told and tells
session       one conversation: the stages, and how they overlap
sessions      all of a process, and how many there may be
secrets       tokens that open one session
"""
