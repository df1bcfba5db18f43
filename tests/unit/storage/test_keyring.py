"""Sealing: what was changed, cut, moved or sealed by others does not open, and nothing of it is given out."""

import logging
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.adapters.storage.sealed import Keyring, is_sealed
from src.config.values import storage_keys
from src.domain.errors import DamagedFile

OLD, NEW = b"o" * 32, b"n" * 32
PLACE = "references/ab12.wav"
VOICE = b"RIFF" + bytes(range(256)) * 4


@given(st.binary(max_size=5000))
def test_what_was_sealed_opens_and_hides_what_it_is(data: bytes) -> None:
    ring = Keyring([NEW])
    sealed = ring.seal(PLACE, data)
    assert len(sealed) == len(data) + 41
    assert is_sealed(sealed)
    assert len(data) < 4 or data not in sealed
    assert ring.open(PLACE, sealed) == data


def test_the_same_file_is_never_sealed_alike() -> None:
    ring = Keyring([NEW])
    assert len({ring.seal(PLACE, VOICE) for _ in range(100)}) == 100


def test_every_changed_byte_and_every_cut_is_noticed() -> None:
    ring, checked = Keyring([NEW], plain=False), 0
    sealed = ring.seal(PLACE, VOICE[:64])
    for index in range(len(sealed)):
        changed = bytearray(sealed)
        changed[index] ^= 1
        for bad in (bytes(changed), sealed[:index]):
            with pytest.raises(DamagedFile):
                ring.open(PLACE, bad)
            checked += 1
    with pytest.raises(DamagedFile):
        ring.open(PLACE, sealed + b"\0")
    assert checked == 2 * len(sealed)


def test_a_file_does_not_open_in_the_place_of_another() -> None:
    ring = Keyring([NEW])
    with pytest.raises(DamagedFile):
        ring.open("references/cd34.wav", ring.seal(PLACE, VOICE))


def test_the_first_key_seals_and_all_open() -> None:
    before = Keyring([OLD]).seal(PLACE, VOICE)
    both = Keyring([NEW, OLD])
    assert both.open(PLACE, before) == VOICE
    assert not both.is_newest(before)
    after = both.seal(PLACE, VOICE)
    assert both.is_newest(after)
    assert Keyring([NEW]).open(PLACE, after) == VOICE


def test_a_file_under_another_key_does_not_open_and_the_log_says_why(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(DamagedFile):
        Keyring([NEW]).open(PLACE, Keyring([OLD]).seal(PLACE, VOICE))
    assert "sealed under another key" in caplog.text


def test_what_nobody_sealed_is_given_out_only_when_that_is_wanted() -> None:
    with pytest.raises(DamagedFile):
        Keyring([NEW]).open(PLACE, VOICE)
    assert Keyring([NEW], plain=True).open(PLACE, VOICE) == VOICE


def test_what_was_sealed_and_then_damaged_is_not_taken_for_unsealed() -> None:
    ring = Keyring([NEW], plain=True)
    with pytest.raises(DamagedFile):
        ring.open(PLACE, ring.seal(PLACE, VOICE)[:-1])


def test_a_keyring_does_not_show_its_keys() -> None:
    ring = Keyring([NEW])
    shown = repr(ring) + str(vars(ring))
    assert repr(NEW)[2:10] not in shown
    assert NEW.hex() not in shown


def test_keys_are_read_with_commas_spaces_or_lines_between_them() -> None:
    one, two = "bzpv" * 10 + "b28=", "cHBw" * 10 + "cHA="
    assert [len(key) for key in storage_keys(f"{one},{two}")[0]] == [32, 32]
    assert storage_keys(f"{one}\n{two}\nplain\n") == (storage_keys(f" {one} , {two}")[0], True)
    assert storage_keys(one)[1] is False


@pytest.mark.parametrize("bad", ["", "plain", "short", "c2hvcnQ=", "é" * 44, "AAAA" * 20])
def test_what_is_no_key_is_refused_without_saying_it(bad: str) -> None:
    with pytest.raises(ValueError, match="key") as refused:
        storage_keys(bad)
    assert not bad or bad == "plain" or bad not in str(refused.value)


def test_a_key_of_another_length_makes_no_keyring() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Keyring([os.urandom(16)])


def test_without_keys_nothing_is_sealed_and_what_others_sealed_does_not_open() -> None:
    ring = Keyring(())
    assert not ring.seals
    assert ring.open(PLACE, ring.seal(PLACE, VOICE)) == VOICE
    with pytest.raises(DamagedFile):
        ring.open(PLACE, Keyring([NEW]).seal(PLACE, VOICE))
