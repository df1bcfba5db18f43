"""The chunks of a WAV file, whose sizes recorders often get wrong."""

_MOST_CHUNKS = 100
_NO_SOUND_BYTES = 64
"""No sound that matters is shorter."""
_PLAIN_FORMAT_BYTES, _WITH_BITS_BYTES = 14, 16


def wav_chunks(data: bytes) -> dict[bytes, tuple[int, int]]:
    """Where the content of the first `fmt ` and `data` chunks begins, and its size as the header says."""
    found: dict[bytes, tuple[int, int]] = {}
    position = 12
    for _ in range(_MOST_CHUNKS):
        if position + 8 > len(data) or len(found) == 2:
            break
        name, size = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "little")
        if name in (b"fmt ", b"data"):
            found.setdefault(name, (position + 8, size))
        position = _behind(data, position + 8, size)
    return found


def wav_sound(data: bytes) -> tuple[int, int] | None:
    """As `wav_chunks`, of the data chunk."""
    return wav_chunks(data).get(b"data")


def tidied(data: bytes) -> bytes:
    """The file with its format and its sound alone, and their true sizes. As it is where one of them is missing."""
    chunks = wav_chunks(data)
    if len(chunks) < 2:
        return data
    start, size = chunks[b"fmt "]
    described = _with_bits(data[start : _behind(data, start, size)])
    start, size = chunks[b"data"]
    sound = data[start:] if states_too_little(data) else data[start : start + size]
    parts = b"".join(_chunk(name, content) for name, content in ((b"fmt ", described), (b"data", sound)))
    return _chunk(b"RIFF", b"WAVE" + parts)


def states_too_little(data: bytes) -> bool:
    """Whether sound follows behind the end of a WAV's data chunk, where only another chunk may."""
    found = wav_sound(data)
    if found is None:
        return False
    rest = data[sum(found) + found[1] % 2 :]
    size = int.from_bytes(rest[4:8], "little")
    return len(rest) > _NO_SOUND_BYTES and not (_is_name(rest[:4]) and size <= len(rest))


def _behind(data: bytes, content: int, size: int) -> int:
    """Where the next chunk begins: where one is known by its name, at the stated end or a few bytes beside it, as odd
    ones may lack their padding; else at the stated end; where no name is there, at the next known one.
    """
    end = content + size
    near = _first(data, max(content, end - 4), end + 5)
    if near is not None:
        return near
    if _is_name(data[end + size % 2 : end + size % 2 + 4]):
        return end + size % 2
    behind = _first(data, content, len(data))
    return len(data) if behind is None else behind


def _first(data: bytes, start: int, end: int) -> int | None:
    found = [place for name in (b"fmt ", b"data") if (place := data.find(name, start, end)) >= 0]
    return min(found, default=None)


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and name.isascii() and name.decode("ascii").isprintable()


def _with_bits(described: bytes) -> bytes:
    """The oldest form lacks the bits of a sample, which its frames' length tells."""
    if not _PLAIN_FORMAT_BYTES <= len(described) < _WITH_BITS_BYTES:
        return described
    channels, frame = (int.from_bytes(described[at : at + 2], "little") for at in (2, 12))
    return described[:_PLAIN_FORMAT_BYTES] + (8 * frame // max(1, channels)).to_bytes(2, "little")


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2)
