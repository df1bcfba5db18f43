"""Marks in files, each by itself: what is written, what is read, and what a change does."""

import io
import wave
from datetime import UTC, datetime

import c2pa
import numpy as np
import pytest
import soundfile
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from src.adapters.decoding.pyav_decoder import PyAvDecoder
from src.adapters.provenance.certificates import load_identity, make_self_signed
from src.adapters.provenance.mark_reading import MarkFiles, manifest_is_whole
from src.adapters.provenance.riff_info import DECLARATION, read_info, with_info
from src.domain.audio import Audio, AudioFormat
from src.utils.audio import encode_wav
from tests.recordings.marked_files import FIELDS, SPOKEN, Key, identity, issued, marked, signer, trust
from tests.servers.receiver import Receiver

WAV = AudioFormat.WAV


def _pcm(file: bytes) -> bytes:
    with wave.open(io.BytesIO(file)) as reader:
        return bytes(reader.readframes(reader.getnframes()))


def test_every_program_reads_the_same_samples_from_a_marked_file() -> None:
    plain, file = encode_wav(SPOKEN), marked().data
    assert file[:4] == plain[:4]
    assert file[8 : len(plain)] == plain[8:]  # the samples stand where programs that know no chunks look for them
    assert int.from_bytes(file[4:8], "little") == len(file) - 8
    assert _pcm(file) == _pcm(plain)
    for read in (plain, file):
        samples, rate = soundfile.read(io.BytesIO(read))
        assert rate == 24_000
        assert np.array_equal(samples, soundfile.read(io.BytesIO(plain))[0])
    decoder = PyAvDecoder(0.0, 10.0)
    assert np.array_equal(decoder.decode(file, WAV).channels, decoder.decode(plain, WAV).channels)


@pytest.mark.parametrize("samples", [0, 1, 480])
def test_info_fields_are_read_back_and_every_chunk_begins_at_an_even_place(samples: int) -> None:
    plain = encode_wav(Audio(np.zeros(samples, np.float32), 24_000))
    file = with_info(plain, FIELDS)
    assert len(file) % 2 == 0
    assert read_info(file).fields == FIELDS
    assert read_info(file).found
    assert not read_info(plain).found
    with soundfile.SoundFile(io.BytesIO(file)) as opened:  # libsndfile's own names for the same fields
        assert (opened.comment, opened.genre) == (DECLARATION, "Synthetic speech")
        assert opened.software.startswith("voice-translation")


def test_fields_of_others_are_shown_without_what_would_upset_a_log() -> None:
    file = with_info(encode_wav(SPOKEN), {"ICMT": "a\x1b[2Jb\nc", "INAM": "a title", "ISFT": "x" * 5000})
    assert read_info(file).fields == {"ICMT": "a [2Jb c", "ISFT": "x" * 200}
    assert not read_info(file).found


def test_a_marked_file_is_ours_and_says_what_it_is() -> None:
    file = marked()
    found = MarkFiles().c2pa(file.data, WAV, trust())
    assert (found.found, found.valid, found.trusted, found.ours, found.changed) == (True, True, True, True, False)
    assert found.source_type == "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    assert found.issued_at == "2026-11-21T10:00:00Z"
    assert found.software == "voice-translation 1"
    assert "assertion.dataHash.match" in found.statuses
    assert found.manifest == getattr(file.marks[0], "manifest", None)


def test_a_changed_byte_is_noticed_wherever_it_is() -> None:
    file = marked().data
    reader, first = MarkFiles(), len(encode_wav(SPOKEN))
    places = (*range(4, 44, 7), *range(44, first, first // 8), *range(first, len(file), len(file) // 130))
    missed = []
    for place in places:
        changed = bytearray(file)
        changed[place] ^= 0x20
        found = reader.c2pa(bytes(changed), WAV, trust())
        if not (found.found and found.changed) or found.valid or found.ours:
            missed.append(place)
    assert len(places) > 30
    assert missed == []


def test_the_parts_of_a_manifest_that_its_signature_leaves_open_are_watched() -> None:
    file = marked().data
    assert manifest_is_whole(file)
    padding = file.rindex(bytes(100))
    changed = file[:padding] + b"\1" + file[padding + 1 :]
    assert not manifest_is_whole(changed)
    assert not manifest_is_whole(encode_wav(SPOKEN))
    store = file[file.index(b"C2PA") :]
    assert not manifest_is_whole(file + store)  # a second manifest


def test_a_signature_of_another_deployment_is_valid_but_not_trusted() -> None:
    file = marked().data
    other = make_self_signed()
    found = MarkFiles().c2pa(file, WAV, trust(load_identity(other, other)))
    assert (found.valid, found.trusted, found.ours, found.changed) == (True, False, False, False)
    assert "signingCredential.untrusted" in found.statuses
    known = MarkFiles().c2pa(file, WAV, trust(load_identity(other, other), anchors=identity().anchor))
    assert (known.valid, known.trusted, known.ours) == (True, True, False)


KEYS: dict[str, tuple[Key, str]] = {
    "p256": (ec.generate_private_key(ec.SECP256R1()), "es256"),
    "p384": (ec.generate_private_key(ec.SECP384R1()), "es384"),
    "p521": (ec.generate_private_key(ec.SECP521R1()), "es512"),
    "rsa": (rsa.generate_private_key(65537, 2048), "ps256"),
    "ed25519": (ed25519.Ed25519PrivateKey.generate(), "ed25519"),
}


@pytest.mark.parametrize("kind", KEYS)
def test_an_operators_certificate_of_every_kind_signs(kind: str) -> None:
    key, algorithm = KEYS[kind]
    operators = load_identity(*issued(key))
    assert (operators.algorithm, operators.name, operators.self_signed) == (algorithm, "Operator", False)
    file = signer(operators).sign_now(encode_wav(SPOKEN), datetime.now(UTC)).data
    found = MarkFiles().c2pa(file, WAV, trust(operators))
    assert (found.ours, found.signer) == (True, "Operator")
    at = file.rindex(bytes(50))
    assert MarkFiles().c2pa(file[:at] + b"\1" + file[at + 1 :], WAV, trust(operators)).changed


def test_certificates_that_cannot_sign_are_refused_with_the_reason() -> None:
    key, other = KEYS["p256"][0], KEYS["p384"][0]
    chain, pem = issued(key)
    for bad_chain, bad_key, reason in (
        (chain, issued(other)[1], "not that of the first certificate"),
        (issued(key, days=-1)[0], pem, "expired on"),
        (issued(key, days=3)[0], pem, "in less than 7 days"),
        (issued(key, begins_in_days=1)[0], pem, "not valid before"),
        (b"nothing", pem, "no PEM certificate"),
        (chain, b"nothing", "not PEM"),
        (b"".join(reversed(_split(chain))), pem, "the key's own comes first"),
        (_split(chain)[0] + _split(issued(other)[0])[1], pem, "issued by the one after it"),
        (chain, _with_password(key), "has a password"),
        (*issued(rsa.generate_private_key(65537, 1024)), "fewer than 2048"),  # noqa: S505
        (*issued(ec.generate_private_key(ec.SECP256K1())), "secp256k1"),
    ):
        with pytest.raises(ValueError, match=reason):
            load_identity(bad_chain, bad_key)


def _split(chain: bytes) -> list[bytes]:
    end = b"-----END CERTIFICATE-----\n"
    return [part + end for part in chain.split(end) if part.strip()]


def _with_password(key: Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))


def test_a_certificate_that_ends_within_a_month_is_told() -> None:
    assert signer(load_identity(*issued(KEYS["p256"][0], days=20))).notices()
    assert signer(load_identity(*issued(KEYS["p256"][0], days=40))).notices() == ()


def test_nothing_is_fetched_because_a_file_names_it() -> None:
    """Its manifest is elsewhere: the file only has its address."""
    with Receiver() as server:
        file = io.BytesIO()
        with (
            c2pa.Context.from_dict({"version": 1}, signer(identity())._signer()) as context,
            c2pa.Builder(signer(identity())._manifest(datetime.now(UTC)), context) as builder,
        ):
            builder.set_no_embed()
            builder.set_remote_url(server.at("127.0.0.1", "/manifest.c2pa"))
            builder.sign("audio/wav", io.BytesIO(encode_wav(SPOKEN)), file)
        assert b"/manifest.c2pa" in file.getvalue()
        assert not MarkFiles().c2pa(file.getvalue(), WAV, trust()).valid
        assert server.connections == 0
        with pytest.raises(c2pa.C2paError), c2pa.Context.from_dict({"version": 1}) as careless:
            c2pa.Reader("audio/wav", io.BytesIO(file.getvalue()), context=careless)
        assert server.connections  # so it is the setting that keeps it from being asked
