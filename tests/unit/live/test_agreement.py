"""What is told of hypotheses that change: append-only, and in the end every word of the final text."""

from src.services.live.agreement import Agreement, distances


def told(*hypotheses: str, final: str, language: str = "en") -> list[str]:
    """What each hypothesis, and then the final text, adds."""
    agreement, deltas = Agreement(), []
    for text in hypotheses:
        deltas.append(agreement.agreed(text, language))
        agreement.told(deltas[-1], language)
    return [*deltas, agreement.rest(final, language)]


def test_a_word_is_told_when_two_hypotheses_in_a_row_have_it() -> None:
    assert told("We will", "We will be", "We will be there", final="We will be there soon.") == [
        "",
        "We will",
        " be",
        " there soon.",
    ]


def test_the_last_word_may_still_go_on() -> None:
    assert told("An inter", "An inter", final="An interpreter") == ["", "An", " interpreter"]


def test_case_and_punctuation_are_no_disagreement() -> None:
    assert told("well i said", "Well, I said it", final="Well, I said it.") == ["", "Well, I said", " it."]


def test_what_was_told_is_never_taken_back() -> None:
    deltas = told("to night we", "to night we eat", final="Tonight we eat fish.")
    assert deltas == ["", "to night we", " eat fish."]
    deltas = told("the red car", "the red car stops", final="A red car has stopped.")
    assert "".join(deltas) == "the red car has stopped."


def test_a_hypothesis_that_lost_its_beginning_repeats_nothing() -> None:
    deltas = told("one two three", "one two three four", "two three four five", final="one two three four five six")
    assert "".join(deltas) == "one two three four five six"


def continued(*hypotheses: str, final: str, then: str) -> list[str]:
    """What the final text adds, and then that of the utterance behind the cut."""
    before = Agreement()
    for text in hypotheses:
        before.told(before.agreed(text, "en"), "en")
    after = Agreement(before)
    return [before.rest(final, "en"), after.rest(then, "en")]


def test_what_was_told_behind_a_cut_is_not_told_again() -> None:
    hypotheses = "All are busy. Please stay", "All are busy. Please stay on"
    told = ["", " on the line."]
    assert continued(*hypotheses, final="All are busy.", then="Please stay on the line.") == told
    assert continued(*hypotheses, final="All of us are busy.", then="Please stay on the line.") == told
    assert continued(*hypotheses, final="All are busy. Please stay", then="on the line.") == ["", "on the line."]


def test_behind_a_cut_nothing_is_kept_back_that_was_not_told() -> None:
    hypotheses = "All are busy. Police", "All are busy. Police stay"
    assert continued(*hypotheses, final="All are busy.", then="Please stay.") == ["", "Please stay."]
    assert continued("All", "All are", final="All are busy.", then="busy is all") == [" are busy.", "busy is all"]


def test_without_hypotheses_all_of_it_is_told() -> None:
    assert told(final="Good morning.") == ["Good morning."]
    assert told("good", final="") == ["", ""]


def test_languages_without_spaces_go_by_the_character() -> None:
    assert told("今日は", "今日は天気", final="今日は天気がいい", language="ja") == ["", "今日は", "天気がいい"]


def test_distances_to_what_ends_at_each_word() -> None:
    assert distances("ab", "xab") == [2, 2, 2, 1]
    assert distances("ab", "xab", anywhere=True) == [2, 2, 1, 0]
