"""Short words that Apertium's dictionaries take for something else, and polite ones: "No", "Please", "Thanks"."""

import re

LANGUAGES = ("en", "es", "fr", "pt", "it")
_PHRASES = (
    ("yes", "sí", "oui", "sim", "sì"),
    ("no", "no", "non", "não", "no"),
    ("please", "por favor", "s'il vous plaît", "por favor", "per favore"),
    ("thank you", "gracias", "merci", "obrigado", "grazie"),
    ("thanks", "gracias", "merci", "obrigado", "grazie"),
    ("ok", "vale", "d'accord", "está bem", "va bene"),
    ("okay", "vale", "d'accord", "está bem", "va bene"),
    ("hello", "hola", "bonjour", "olá", "ciao"),
    ("hi", "hola", "salut", "olá", "ciao"),
    ("good morning", "buenos días", "bonjour", "bom dia", "buongiorno"),
    ("good evening", "buenas tardes", "bonsoir", "boa tarde", "buonasera"),
    ("good night", "buenas noches", "bonne nuit", "boa noite", "buonanotte"),
    ("goodbye", "adiós", "au revoir", "adeus", "arrivederci"),
    ("bye", "adiós", "au revoir", "tchau", "ciao"),
    ("sorry", "perdón", "pardon", "desculpe", "scusi"),
    ("maybe", "quizás", "peut-être", "talvez", "forse"),
    ("not", "no", "pas", "não", "non"),
    ("no thanks", "no, gracias", "non merci", "não, obrigado", "no grazie"),
    ("no thank you", "no, gracias", "non merci", "não, obrigado", "no grazie"),
    ("oh no", "oh, no", "oh non", "oh não", "oh no"),
    ("i'm sorry", "lo siento", "je suis désolé", "sinto muito", "mi dispiace"),
    ("i am sorry", "lo siento", "je suis désolé", "sinto muito", "mi dispiace"),
    ("yeah", "sí", "ouais", "sim", "sì"),
    ("hey", "oye", "hé", "ei", "ehi"),
)
"""One row for each, in the order of LANGUAGES. The first row in which a language has a phrase counts."""

_PLEASE = re.compile(r"(?<!\bto )\bplease\b(?! (?:me|you|him|her|us|them)\b)", re.IGNORECASE)
"""Not as a verb: "to please you"."""
_COMPLACER = re.compile(r"\bcomplacer?\b", re.IGNORECASE)
_OPENING = re.compile(r"(\w[^,]*)(,\s+)(?=\w)")
_FIRST_PERSON = re.compile(r"I\b")
_ENDS = re.compile(r"^(\W*)(.*?)(\W*)$", re.DOTALL)


def whole(text: str, source: str, target: str) -> str | None:
    """The translation of a text that is nothing but one of the phrases, with its punctuation; else None."""
    if source not in LANGUAGES or target not in LANGUAGES:
        return None
    match = _ENDS.match(text)
    if match is None:
        return None
    before, words, after = match.groups()
    here, there = LANGUAGES.index(source), LANGUAGES.index(target)
    plain = " ".join(words.casefold().replace("’", "'").split())
    found = next((row[there] for row in _PHRASES if row[here] == plain), None)
    if found is None:
        return None
    return before + (found[:1].upper() + found[1:] if words[:1].isupper() else found) + after


def opening(text: str, source: str, target: str) -> tuple[str, str]:
    """The translation of a phrase before the first comma, with the comma, and the rest: "Sorry, ", "I am late". Without
    such a phrase the whole text is the rest.
    """
    match = _OPENING.match(text)
    found = whole(match[1], source, target) if match is not None else None
    return ("", text) if match is None or found is None else (found + match[2], text[match.end() :])


def continuing(rest: str, source: str, translated: str) -> str:
    """The translation of what follows an opening, without the capital of the English "I"."""
    if source == "en" and _FIRST_PERSON.match(rest):
        return translated[:1].lower() + translated[1:]
    return translated


def politely(sentence: str, pair: tuple[str, str], translated: str) -> str:
    """English to Spanish has `please` as a verb alone, which turns every polite request into nonsense."""
    if pair == ("en", "es") and _PLEASE.search(sentence):
        return _COMPLACER.sub("por favor", translated)
    return translated
