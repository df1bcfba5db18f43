"""Words are found by the rules of their script, and not inside of others."""

import time
from pathlib import Path

import pytest

from src.adapters.moderation.matching import INNOCENT, Finding, Matcher
from src.adapters.moderation.words import PROFANITY, WordLists, parse
from src.domain.errors import EngineUnavailable
from src.domain.languages import LANGUAGES
from src.domain.moderation import Passage, ReviewStage, Severity


@pytest.fixture(scope="module")
def shipped() -> WordLists:
    return WordLists.load()


async def flagged(lists: WordLists, language: str, *texts: str) -> bool:
    passage = Passage(texts, language, ReviewStage.TEXT, "1", "ann")
    verdict = await lists.review(passage)
    assert verdict.unreviewed is None
    return verdict.flagged


FOUND = [
    ("en", "what a bastard he was"),
    ("en", "BULLSHIT!"),
    ("en", "bull\u00adshit"),  # a soft hyphen, which nobody sees
    ("en", "ｂｕｌｌｓｈｉｔ"),
    ("en", "he is,bastard-like"),
    ("fr", "quel connard"),
    ("fr", "Va, espèce d'ENCULÉ"),
    ("fr", "espe\u0300ce d'encule\u0301"),  # marks apart from their letters
    ("fr", "fils de pute"),
    ("es", "¡Vete a la mierda!"),
    ("de", "so ein Arschloch"),
    ("de", "SCHEISSE"),  # capitals have no ß
    ("it", "che cazzo fai"),
    ("pt", "vai tomar no cu"),
    ("pl", "do kurwy nędzy"),
    ("tr", "SİKTİR GİT"),
    ("tr", "Siktir'di"),
    ("ru", "иди на ХУЙ"),
    ("ru", "хуё\u0301во"),
    ("nl", "wat een klootzak"),
    ("cs", "do prdele"),
    ("ar", "يا عاهرة"),
    ("ar", "والعاهرة"),  # and the …
    ("ar", "عَاهِرَة"),  # with its vowels
    ("ar", "عاهـــرة"),  # stretched
    ("zh", "你他妈的是谁"),
    ("zh", "这个王八蛋"),
    ("zh", "他妈妈说他妈的"),
    ("ja", "このビッチめ"),
    ("ja", "ﾋﾞｯﾁ"),  # half-width
    ("ko", "씨발놈아"),  # with a particle
    ("ko", "그 개새끼들은 갔다"),
    ("hu", "te Kurva!"),
]

INNOCENT_TEXTS = [
    ("en", "Scunthorpe, Sussex and Essex play cricket in Penistone"),
    ("en", "the assassin assumed a classic bass passage"),
    ("en", "a cocktail for Dickens, the shiitake and the Matsushita"),
    ("en", "blue tits and great tits, Moby Dick, and how to kill weeds"),
    ("fr", "il habite un pays de connexions ridicules, le concombre et la façon"),
    ("fr", "la veuve a pété sa pédale de frein"),
    ("es", "el año nuevo la computadora disputa el martillo"),
    ("de", "der Marschall im Dickicht sieht die Vögel, den Vögeln folgt er nackt"),
    ("it", "la penisola, lo scazzottato e il pesce della regina"),
    ("pt", "curioso e sacudido no computador, a cerveja e o pinto"),
    ("pl", "jajko na twardo, skurczona sukienka"),
    ("tr", "SIK SIK gelirim, şık ve sıkı"),  # the other i
    ("tr", "müslüman ve yahudi, ananas yedim"),
    ("ru", "художник употреблял мандарин для команды, какая разница"),
    ("nl", "mijn nicht zet de pot op de paal, acute kutikula"),
    ("cs", "zmrdaný není v seznamu, srazit a čumět"),
    ("ar", "شعر طويل وحمام ولبن مكسور"),
    ("zh", "他妈妈和我妈的朋友妈妈的手"),
    ("zh", "理性交流，出口交易，叫做爱情，感情色彩，男性爱好"),
    ("zh", "操作系统，女性，大会党员"),
    ("ja", "グローバルなマンション、ビッチング、スマンコーヒー"),
    ("ja", "女の子とユダヤ人の歴史、ななめの道、sms"),
    ("ko", "그 영화를 보지 않았다, 늦게 자지 마, 껌을 씹다"),
    ("ko", "시발점에서 새끼손가락을, 자위대"),
    ("hu", "a marhahús és a pofa, kurvatúra"),
]


@pytest.mark.parametrize(("language", "text"), FOUND)
async def test_a_listed_word_is_found(shipped: WordLists, language: str, text: str) -> None:
    assert await flagged(shipped, language, text)


@pytest.mark.parametrize(("language", "text"), INNOCENT_TEXTS)
async def test_what_only_looks_like_one_is_not(shipped: WordLists, language: str, text: str) -> None:
    assert not await flagged(shipped, language, text)


def test_both_are_tried_in_every_language_of_the_service() -> None:
    assert {language for language, _ in FOUND} == {language for language, _ in INNOCENT_TEXTS} == set(LANGUAGES)


async def test_a_phrase_may_begin_in_one_segment_and_end_in_the_next(shipped: WordLists) -> None:
    assert await flagged(shipped, "fr", "il est fils", "de pute")
    assert await flagged(shipped, "zh", "这个王", "八蛋")
    assert not await flagged(shipped, "fr", "fils", "de bonne famille")


async def test_a_variant_is_read_with_its_languages_list_and_another_script_is_not(shipped: WordLists) -> None:
    assert await flagged(shipped, "pt-BR", "puta")
    assert await flagged(shipped, "zh-Hans", "王八蛋")
    verdict = await shipped.review(Passage(("幹你娘",), "zh-Hant", ReviewStage.TRANSLATION, "1", "ann"))
    assert verdict.unreviewed == "no word list for 'zh-Hant'"
    assert not verdict.flagged
    assert shipped.notices() == ()


async def test_a_language_without_a_list_is_not_said_to_be_reviewed() -> None:
    lists = WordLists({"en": Matcher("en", [("darn", PROFANITY)])})
    verdict = await lists.review(Passage(("kurva",), "hu", ReviewStage.TEXT, "1", "ann"))
    assert verdict.unreviewed == "no word list for 'hu'"
    assert "moderation: no word list for 'hu'" in lists.notices()
    assert "moderation: no word list for 'en'" not in lists.notices()


async def test_the_operators_lists_add_and_take_away(tmp_path: Path) -> None:
    (tmp_path / "en.txt").write_text("# ours\nbroccoli, lima bean\n! bastard\n[threat high]\nor else\n", "utf-8")
    (tmp_path / "de.txt").write_text("Rosette", "utf-8")
    (tmp_path / "zh-Hant.txt").write_text("幹你娘", "utf-8")
    lists = WordLists.load(tmp_path)
    verdict = await lists.review(
        Passage(("Do it, OR ELSE", "no lima beans, lima bean"), "en", ReviewStage.TEXT, "", "")
    )
    assert (verdict.categories, verdict.severity) == (("threat", "profanity"), Severity.HIGH)
    assert await flagged(lists, "en", "Broccoli?")
    assert not await flagged(lists, "en", "what a bastard he was")
    assert await flagged(lists, "en", "bullshit")  # the library's own stay
    assert await flagged(lists, "de", "eine Rosette")  # shipped as innocent; the operator's word counts
    assert await flagged(lists, "zh-Hant", "幹你娘咧")
    assert lists.notices() == ()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("english.txt", b"word", "names no language"),
        ("en.txt", b"\xff\xfe", "is not UTF-8"),
        ("en.txt", b"[Not A Category!]\nword", "line 1"),
        ("en.txt", b"word, ?!", "an entry without letters"),
        ("en.txt", b"a " * 41, "more than 40 words"),
    ],
)
def test_a_list_that_cannot_be_read_ends_the_start(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EngineUnavailable, match=reason):
        WordLists.load(tmp_path)
    with pytest.raises(EngineUnavailable, match="no folder"):
        WordLists.load(tmp_path / "missing")


def test_what_is_innocent_hides_what_overlaps_it_but_not_what_it_is_a_part_of() -> None:
    entries = parse("bad thing, worse\n! thing of beauty, bad\n")
    matcher = Matcher("en", entries)
    assert matcher.find("a bad thing") == (PROFANITY,)
    assert matcher.find("a bad thing of beauty") == ()
    assert matcher.find("thing of beauty, worse") == (PROFANITY,)


def test_of_two_entries_the_later_one_stands() -> None:
    threat = Finding("threat", Severity.HIGH)
    assert Matcher("en", [("word", PROFANITY), ("WORD", threat)]).find("a word") == (threat,)
    assert Matcher("en", [("word", PROFANITY), ("word", INNOCENT)]).find("a word") == ()


@pytest.mark.parametrize(("language", "unit"), [("en", "a "), ("ko", "은 "), ("zh", "妈"), ("ja", "ア")])
def test_time_grows_with_the_length_of_the_text_and_no_faster(language: str, unit: str) -> None:
    # an entry begins at every place of the text, and goes on for as long as any may
    matcher = Matcher(language, [(unit * 39 + "b", PROFANITY), (unit * 2, INNOCENT), (unit * 3, PROFANITY)])
    short, long = (min(_seconds(matcher, unit * count) for _ in range(3)) for count in (500, 5_000))
    assert long < 40 * short + 0.02, (short, long)  # ten times the length; its square would be a hundred


def _seconds(matcher: Matcher, text: str) -> float:
    start = time.process_time()
    matcher.find(text)
    return time.process_time() - start
