"""What is said of a text: the one front end of every voice engine.

characters.py reads characters, names.py abbreviations and addresses, romans.py Roman numerals, telephones.py telephone
numbers, times.py times and dates, ordinals.py ordinals, amounts.py money and measures, shorthand.py what is short
round a number, compounds.py numbers that begin a word or have an ending, numbers.py numbers, lengths.py how long it
takes to say; vocabulary.toml has the words of each language.
"""

from src.services.spoken_text.lengths import least_seconds
from src.services.spoken_text.speaking import SpokenText, spoken

__all__ = ["SpokenText", "least_seconds", "spoken"]
