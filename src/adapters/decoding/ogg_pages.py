"""Pages of an OGG file. ffmpeg passes over one with a wrong checksum, though a flipped bit spoils one packet of fifty:
those are mended here.
"""

import re
import zlib
from collections import Counter, deque

_MAGIC = b"OggS"
_HEADER_BYTES = 27
_FLAGS, _SERIAL, _CHECKSUM = 5, slice(14, 18), slice(22, 26)
_GOES_ON, _FIRST, _LAST = 1, 2, 4
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_HEADS = (b"OpusHead", b"OpusTags")
_USUAL = 0.01
"""Share of an Opus stream's packets: it has a few kinds of them, and damage makes any of 256. Where a page is whole,
its kinds are known.
"""


class OggPages:
    """A shape of parts, as of `part_shapes`. Whole is what the next page follows, whatever its checksum says."""

    sure = True

    def __init__(self, data: bytes) -> None:
        self._unread_bytes = 4 * len(data)  # pages that overlap are made to be slow to read
        self._is_opus = b"OpusHead" in data[:4096]
        self._damaged: dict[int, int] = {}  # begin and end
        self._serials: Counter[bytes] = Counter()
        self._kinds: set[int] = set()
        self.mended_parts = self.dropped_bytes = 0

    def end(self, data: bytes, position: int) -> int | None:
        header = data[position : position + _HEADER_BYTES]
        if len(header) < _HEADER_BYTES:
            return None
        body = position + _HEADER_BYTES
        end = body + header[26] + sum(data[body : body + header[26]])
        self._unread_bytes -= end - position
        if end > len(data) or self._unread_bytes < 0:
            return None
        page = data[position:end]
        whole = page.startswith(_MAGIC) and page[_CHECKSUM] == _checksum(page)
        if not whole and not (data.startswith(_MAGIC, end) or (end == len(data) and page.startswith(_MAGIC))):
            return None
        if whole:
            self._kinds.update(self._kinds_in(page))
        else:
            self._damaged[position] = end
        self._serials[page[_SERIAL]] += 1
        return end

    def begins(self, data: bytes, position: int) -> bool:
        return data.startswith(_MAGIC, position)

    def search(self, data: bytes, position: int) -> int:
        found = data.find(_MAGIC, position)
        return len(data) if found < 0 else found

    def joined(self, data: bytes, stretches: list[tuple[int, int]]) -> bytes:
        if not self._kinds:
            found = Counter(kind for start, end in self._damaged.items() for kind in self._kinds_in(data[start:end]))
            self._kinds = {kind for kind, count in found.items() if count > _USUAL * found.total()}
        damaged, pieces = deque(sorted(self._damaged.items())), []
        for start, end in stretches:
            position = start
            while damaged and damaged[0][0] < end:
                begin, behind = damaged.popleft()
                if begin >= position:
                    mended = self._mended(data[begin:behind], first=begin == 0, last=behind == len(data))
                    pieces += [data[position:begin], mended]
                    position = behind
            pieces.append(data[position:end])
        return b"".join((*pieces, _begun(data[stretches[-1][1] :])))

    def _mended(self, page: bytes, *, first: bool, last: bool) -> bytes:
        """With a header that fits the other pages, without packets of a kind that only damage makes."""
        own = page[_SERIAL]
        serial = own if self._serials[own] > 1 else self._serials.most_common(1)[0][0]
        flags = page[_FLAGS] & _GOES_ON | (_FIRST if first else 0) | (page[_FLAGS] & _LAST if last else 0)
        packets = [packet for packet in _packets(page) if not self._is_opus or self._is_usual(packet[1])]
        head = _MAGIC + bytes((0, flags)) + page[6:14] + serial + page[18:26]
        made = _page(head, packets)
        self.mended_parts += 1
        self.dropped_bytes += max(0, len(page) - len(made))
        return made

    def _is_usual(self, packet: bytes) -> bool:
        return packet.startswith(_HEADS) or not packet or packet[0] in self._kinds

    def _kinds_in(self, page: bytes) -> list[int]:
        """Of Opus packets, by their first byte."""
        return [packet[0] for _, packet in _packets(page) if packet and self._is_opus]


def _packets(page: bytes) -> list[tuple[bytes, bytes]]:
    """Each with its lengths, of which one of 255 says that it goes on."""
    lengths, position = page[_HEADER_BYTES:][: page[26]], _HEADER_BYTES + page[26]
    packets = []
    for found in re.finditer(rb"\xff*[^\xff]|\xff+", lengths, re.DOTALL):
        packets.append((found[0], page[position : position + sum(found[0])]))
        position += sum(found[0])
    return packets


def _page(head: bytes, packets: list[tuple[bytes, bytes]]) -> bytes:
    """`head`: up to the number of lengths; its checksum is made new."""
    lengths, body = (b"".join(parts) for parts in zip(*packets, strict=True)) if packets else (b"", b"")
    page = bytearray(head + bytes((len(lengths),)) + lengths + body)
    page[_CHECKSUM] = _checksum(page)
    return bytes(page)


def _begun(page: bytes) -> bytes:
    """A page with the whole packets of one that the file's end cuts off."""
    if not page.startswith(_MAGIC) or len(page) <= _HEADER_BYTES or len(page) <= _HEADER_BYTES + page[26]:
        return b""
    whole = [packet for packet in _packets(page) if packet[0][-1] < 255 and len(packet[1]) == sum(packet[0])]
    return _page(page[:26], whole) if whole else b""


def _checksum(page: bytes | bytearray) -> bytes:
    """A CRC-32 that begins with 0 and takes the bits the other way round than zlib does."""
    bare = bytes(page[:22]) + bytes(4) + bytes(page[26:])
    found = zlib.crc32(bare.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{found:032b}"[::-1], 2).to_bytes(4, "little")
