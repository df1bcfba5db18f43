"""Texts on their way through the front end to XTTS in all languages: nothing crashes, nothing is lost."""

import functools
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.domain.languages import LANGUAGES, joined
from src.models.xtts.coqui import spoken_languages
from src.models.xtts.text import MAX_TOKENS, Cleaner, Tokens, split
from src.services import spoken_text
from tests.checkpoints.xtts_checkpoint import quiet, stock

PLAIN = {
    "en": "Dr. Smith, don't worry: the 2nd train leaves at 12:45 for $20.15, or 3% more.",
    "es": "El Sr. García llegó con 1.234 libros y 12,5 euros; ¿qué pasó el 1º día?",
    "fr": "L'été, Mme. Moreau a payé 20,15€ pour le 1er billet, soit 14 % de moins.",
    "de": "Frau Dr. Müller wohnt seit dem 1. Mai in der Straße 12 und zahlt 20,15€.",
    "it": "Il Sig. Rossi pagò 12,5 euro; perché aspettare il 1° giorno?",
    "pt": "O Sr. Silva não vê 50 navios às 8 horas, e paga 20€ amanhã.",
    "pl": "Zażółć gęślą jaźń: było 50 żołnierzy i 12,5 sekundy.",
    "tr": "Yılmaz bey 50 asker gördü, çünkü 1. gün geldi.",
    "ru": "Д-р Смирнов купил 50 книг за 20.15€, это 14% скидки.",
    "nl": "Dhr. Jansen betaalde 12,5 euro voor de 2de trein.",
    "cs": "P. Novák má 14% baterie a bylo tam 50 vojáků.",
    "ar": "كان هناك 50 جنديا في المدينة.",
    "zh": "有50名士兵在12.5秒内到达。",
    "hu": "Dr. Szabó 50 katonát látott, és 14% maradt.",
    "ko": "50 명의 병사가 있었다. 이것은 1 번째 테스트입니다.",
    "ja": "電車は駅に着きました。ゆっくり話してください。",
}


NASTY = (
    "12 12.5 12,5 0.05 0.0000001 3.14159 1,234.56 1.234,56 1.234.567 1,234,567 1,00,000 123456789012.123456789",
    "1st 2nd 3rd 1er 2ème 3º 4ª 1. 2. 3. 2de 1-й 2-я 3番目 1번째 20대 1adik 3inci 1ون",
    "$5 $5.50 5€ £3.20 €1.234,56 $1,234.56 5$ 6£ ¥500 ₹100 $5.5.5 $$5 10€€ $ € £ $, $-5 1000000000000000$ 0.005€",
    "50% 100 % %14 10%% -5 −5 (-5) +3 5-6 1/2 ½ ² Ⅳ ① № 5 20° °C ℃ 100km/h #1 C++ a&b",
    "12:45 09:30 1999 2024-01-02 01/02/2024 01.02.2024 1.2.3.4 007 +49 170 1234567 1e10 0 00 1..2 .5",
    "9" * 400,
    f"{'9' * 26} {'1' * 70}.{'2' * 70}",
    "٣٤٥ ٫٥ ٣٫٥ १२३ １２３．５ 𝟘𝟙 五百三十",
    "“q” ‘q’ „q“ «q» ‹q› \"q\" 'q' 「q」『q』《q》 don’t l`eau O´Neill ″",
    "😀 👩‍👩‍👧‍👦 🇫🇷 1️⃣ ❤️ ☎ ™ ® 🤷🏽",
    "https://example.com/a?b=1&c=%20#x a@b.co [en] [STOP] [SPACE] [UNK] <b>x</b> {x} \\x",
    "Dr. Mr. Mrs. e.g. etc. vs. Sr. Mme. Sig. д-р г-н b. p. m.",
    "hello мир 世界 こんにちは カタカナ 안녕 مرحبا नमस्ते γειά שלום ไทย Việt Nam İSTANBUL IŞIK ß ẞ æ ﬁ",
    "a\u0301 \u200b\u200f\u202e\u00ad\ufeff \x00\x07 \ud800 \ufffd \U0010fffd 彁 𠮷",
    "pneumonoultramicroscopicsilicovolcanoconiosis" * 20,
    "一二三四五六七八九十" * 30,
    "あいうえお" * 40,
    "5.",
    "… ?! — ( )",
    "",
)


@functools.cache
def tokens() -> Tokens:
    return Tokens(stock().tokenizer)


@functools.cache
def cleaner() -> Cleaner:
    return Cleaner(stock().tokenizer.tokenizer.get_vocab())


def letters(text: str) -> str:
    return "".join(character for character in text if character.isalpha())


def readable(text: str, language: str) -> str:
    return joined(spoken_text.spoken(text, language).sentences, language)


def spoken(text: str, language: str) -> list[str]:
    """What each utterance's tokens stand for, without the language's tag. Checks the limits of each."""
    tag = f"[{'zh-cn' if language == 'zh' else language}]"
    unknown = stock().tokenizer.tokenizer.token_to_id("[UNK]")
    utterances = tokens().sentences((readable(text, language),), language)
    for each in utterances:
        assert 1 < len(each) <= MAX_TOKENS
        assert unknown not in each
    decoded = [stock().tokenizer.decode(each) for each in utterances]
    assert all(each.startswith(tag) for each in decoded)
    return [each.removeprefix(tag) for each in decoded]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_network_sees_what_it_learned(language: str) -> None:
    assert set(PLAIN) == set(LANGUAGES)
    text = readable(PLAIN[language], language)
    (ours,) = tokens().sentences((text,), language)
    with quiet():
        expected = stock().tokenizer.encode(text.lower(), lang=language)
    assert ours.tolist() == expected


def test_chinese_and_japanese_are_spoken_where_their_packages_are() -> None:
    assert spoken_languages() == set(LANGUAGES)
    assert spoken("你好，世界", "zh") == ["ni3hao3,shi4jie4"]
    assert spoken("東京", "ja") == ["tokyo"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_crashes_and_no_letter_is_unknown(language: str) -> None:
    for text in NASTY:
        whole = readable(text, language)
        pieces = split(whole, stock().tokenizer.char_limits[language], language)
        assert "".join("".join(pieces).split()) == "".join(whole.split())
        said = spoken(text, language)
        assert letters("".join(said)) == letters("".join(cleaner().clean(piece, language) for piece in pieces))
        assert not any(character.isdigit() for character in "".join(said)) or language == "zh"  # tones
        assert bool(said) == any(character.isalnum() for character in whole)


@pytest.mark.parametrize("language", LANGUAGES)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(text=st.text(st.characters(codec=None), max_size=60))
def test_any_text_at_all(language: str, text: str) -> None:
    whole = readable(text, language)
    for piece in spoken(text, language):
        assert any(character.isalnum() for character in piece)
    assert not set(whole) & set('[]"\x00\ud800')


@settings(max_examples=300, deadline=None, derandomize=True)
@given(language=st.sampled_from(sorted(LANGUAGES)), text=st.text("0123456789.,-%$€£ a", max_size=30))
def test_any_number_at_all(language: str, text: str) -> None:
    said = "".join(spoken(text, language))
    assert said or not any(character.isalnum() for character in text)
    assert language == "zh" or not any(character.isdigit() for character in said)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_long_text_is_cut_at_sentences_and_said_to_its_end(language: str) -> None:
    text = " ".join([PLAIN[language]] * 25)
    limit = stock().tokenizer.char_limits[language]
    pieces = split(readable(text, language), limit, language)
    assert all(len(piece) <= limit for piece in pieces)
    assert {piece[-1] for piece in pieces} <= set(".?。।")
    assert len(spoken(text, language)) >= len(pieces) > 2
    said = letters("".join(spoken(text, language)))
    if language not in ("zh", "ja"):
        assert said == letters(cleaner().clean(readable(text, language), language))
    assert len(said) >= 25 * len(letters(spoken(PLAIN[language], language)[0])) * 0.98


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("cs", "Přijdu v 5.", "přijdu v pět."),
        ("de", "Ich komme um 5.", "ich komme um fünf."),
        ("ar", "20€", "عشرون يورو"),
        ("hu", "$5", "öt dollár"),
        ("tr", "12,5", "on iki virgül beş"),
        ("tr", "IŞIK İSTANBUL", "ışık istanbul"),
        ("ko", "20€", "isib yulo"),
        ("zh", "$20", "er4shi2mei3yuan2"),
        ("zh", "-5°", "fu4wu3du4"),
        ("ja", "20€", "nijuu euro"),
        ("ja", "50%", "gojuu percent"),
        ("en", "-5", "minus five"),
        ("en", "007", "zero zero seven"),
        ("en", "€1.234,56", "one thousand two hundred and thirty-four euros and fifty-six cents"),
        ("de", "1,234,567", "eine million zweihundertvierunddreißigtausendfünfhundertsiebenundsechzig"),
        ("fr", "5\u00a0000,50 €", "cinq mille euros et cinquante centimes"),
        ("en", "2 🎉 cats", "two cats"),
        ("en", "don’t “go”", "don't go"),
        ("en", "¥500", "five hundred yen"),
        ("en", "１２ ½", "twelve and a half"),
    ],
)
def test_signs_and_numbers_reach_the_network_in_words(language: str, text: str, words: str) -> None:
    assert spoken(text, language) == [words]


def test_marks_stay_with_their_letters() -> None:
    arabic = Cleaner({*"كتب", *"abcdefghijklmnopqrstuvwxyz!"})
    assert arabic.clean("كَتَبَ", "ar") == "كتب"
    assert arabic.clean("नमस्ते ¡Việt!", "en") == "nmste viet!"


def test_letters_of_no_known_alphabet_are_transliterated() -> None:
    few = Cleaner({"[UNK]", *"abcdefghijklmnopqrstuvwxyz '."})
    assert few.clean("Привет, 世界! Straße", "de") == "privet shijie strasse"


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_shows_in_a_log(language: str, caplog: pytest.LogCaptureFixture) -> None:
    tokens()  # what loading the model logs is another matter
    caplog.set_level(logging.DEBUG)
    for text in (*NASTY, " ".join([PLAIN[language]] * 25)):
        tokens().sentences((readable(text, language),), language)
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.parametrize("text", [" ".join(["A short sentence."] * 40), "word " * 200, "x" * 900, "一二三。" * 100])
def test_pieces_keep_to_the_limit_and_lose_no_letter(text: str) -> None:
    pieces = split(text, 82, "zh")
    assert all(0 < len(piece) <= 82 for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


def test_sentences_are_kept_whole_where_they_fit() -> None:
    assert split("One two. Three four! Five six?", 20, "en") == ["One two. Three four!", "Five six?"]
