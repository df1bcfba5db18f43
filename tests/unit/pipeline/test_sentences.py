"""Where a sentence ends in each language, cutting a text in two, and putting its pieces together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.domain.languages import joined
from src.utils.text import halves, split_sentences


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("One. Two is longer. Three.", ("One. Two is longer.", "Three.")),
        ("Is it? Yes", ("Is it?", "Yes")),
        ("one two three four", ("one two", "three four")),
        ("今天很好。明天也很好。", ("今天很好。", "明天也很好。")),
        ("今天很好，明天也很好", ("今天很好，", "明天也很好")),
        (" word. ", None),
        ("word", None),
        ("", None),
        ("...", None),
    ],
)
def test_a_text_is_cut_near_its_middle_where_a_sentence_ends_or_a_word(text: str, cut: tuple[str, str] | None) -> None:
    assert halves(text, "zh" if "，" in text or "。" in text else "en") == cut


def test_pieces_are_joined_as_the_language_writes() -> None:
    assert joined(("Hello.", "You."), "en") == "Hello. You."
    assert joined(("你好。", "再见。"), "zh") == "你好。再见。"
    assert joined(("안녕.", "잘 가."), "ko") == "안녕. 잘 가."


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("de", "Wir treffen uns am 5. Mai um 10 Uhr bei Dr. Weber."),
        ("de", "Das ist gut.|Am 3. Oktober fahren wir z. B. nach Köln.|Kommst du?"),
        ("de", "Er kam um 8.|Danach ging er."),
        ("en", "At 9 a.m. or so, e.g. at St. Mary, Jan. 5, Dr. Smith."),
        ("en", "Call me at 5 p.m. tomorrow."),
        ("en", "It costs 3.50.|Really?"),
        ("en", "Mr. and Mrs. Brown live in the U.S. since 1990.|They like it."),
        ("en", "I have 5.|You have 6."),
        ("fr", "M. Dupont et Mme. Petit, cf. p. 5."),
        ("fr", "Né en 44 av. J.-C. à Rome."),
        ("en", "We saw J. K. Rowling.|She waved."),
        ("pt", "O imperador D. Pedro nasceu em Queluz.|Foi rei."),
        ("hu", "Ezt IV. Béla tette.|Jó király volt."),
        ("tr", "Av. Veli ve II. Mehmet geldi.|Sonra gitti."),
        ("ar", "وصل أ. د. علي.|أهلا."),
        ("fr", "Bonjour.|Ça va ?|Oui !"),
        ("es", "El Sr. García y la Dra. Ruiz, pág. 5."),
        ("es", "¿Cómo estás?|¡Muy bien!|Gracias."),
        ("cs", "Sejdeme se 8. března v 5. patře."),
        ("cs", "Dobrý den.|Jak se máte?"),
        ("hu", "Május 5. napján, a 3. emeleten."),
        ("hu", "Jó napot.|Hogy van?"),
        ("it", "Il Sig. Rossi e il Dott. Bianchi arrivano.|Va bene?"),
        ("pt", "O Sr. Silva e a Dra. Costa, pág. 5."),
        ("pt", "Olá.|Tudo bem?"),
        ("pl", "Spotkamy się 5. maja o godz. 10 u dr. Nowaka."),
        ("pl", "Dzień dobry.|Co słychać?"),
        ("tr", "Dr. Yılmaz 5. katta.|Gelir misin?"),
        ("ru", "Встретимся в 10 ч. у г. Иванова, т. е. завтра."),
        ("ru", "Привет.|Как дела?|Хорошо!"),
        ("nl", "Om 5 uur bij dr. Jansen, d.w.z. morgen."),
        ("nl", "Hallo.|Hoe gaat het?"),
        ("ar", "مرحبا.|كيف حالك؟|أنا بخير."),
        ("zh", "你好。|你好吗？|我很好！"),
        ("ja", "こんにちは。|お元気ですか？|はい！"),
        ("ja", "「はい。」と言った。|次です。"),
        ("ko", "안녕하세요.|어떻게 지내세요?|잘 지내요."),
    ],
)
def test_no_sentence_ends_behind_an_abbreviation_or_an_ordinal(language: str, sentences: str) -> None:
    expected = tuple(sentences.split("|"))
    assert split_sentences(joined(expected, language), language) == expected


def test_a_line_is_a_sentence_and_blanks_are_none() -> None:
    assert split_sentences("first line\nsecond line", "en") == ("first line", "second line")
    assert split_sentences("  \n ", "en") == ()


@given(text=st.text("aB1.!? \n。，\"'é", max_size=60), language=st.sampled_from(["en", "de", "zh", "ja", "hu"]))
def test_sentences_lose_no_character(text: str, language: str) -> None:
    assert "".join("".join(split_sentences(text, language)).split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("es", "Son aprox. 5 personas."),
        ("fr", "Le Bd. St-Michel est long."),
        ("pt", "A Profa. Ana mora na Av. Paulista."),
        ("pl", "Idę al. Jana do św. Anny."),
        ("ru", "Это св. Иван и пл. Ленина."),
        ("de", "Die Fam. Meier und Dipl. Ing. Weber kommen."),
        ("hu", "A Szt. István körút."),
        ("en", "Gen. Smith and Rev. Lee climb Mt. Rainier."),
    ],
)
def test_an_abbreviation_ends_no_sentence(language: str, text: str) -> None:
    assert split_sentences(text, language) == (text,)


@pytest.mark.parametrize(
    ("language", "first", "second"),
    [
        ("en", "It is 5 ft.", "Bring a rope."),
        ("fr", "Il reste 5 s.", "Partez."),
        ("tr", "Bu bir av.", "Sonra dön."),
        ("it", "Mancano 5 s.", "Vai."),
    ],
)
def test_what_is_an_abbreviation_in_another_language_or_a_unit_may_end_one(
    language: str, first: str, second: str
) -> None:
    assert split_sentences(f"{first} {second}", language) == (first, second)
