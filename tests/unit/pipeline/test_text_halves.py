"""Cutting a text in two, and putting its pieces together."""

import pytest

from src.utils.text import halves, joined


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
    assert halves(text) == cut


def test_pieces_are_joined_as_the_language_writes() -> None:
    assert joined(("Hello.", "You."), "en") == "Hello. You."
    assert joined(("你好。", "再见。"), "zh") == "你好。再见。"
    assert joined(("안녕.", "잘 가."), "ko") == "안녕. 잘 가."
