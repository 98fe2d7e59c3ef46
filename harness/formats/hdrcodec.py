"""HdrHistogram's compressed form (V2, zlib, base64) as values and counts; own code, for its input is anybody's.

The package that decodes these (hdrhistogram) would bring setuptools and pbr along at run time, trusts the sizes
that a header claims, and decodes in C. This reads what the project needs of the format: 90 lines, every size
checked. A test holds it against files which that package wrote.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Iterator

_COMPRESSED_V2 = 0x1C849304
_PLAIN_V2 = 0x1C849303
_OTHERS = {0x1C849301: "V1", 0x1C849302: "V1", 0x1C849308: "V0", 0x1C849309: "V0"}
_OTHERS |= dict.fromkeys((0x0C72124E, 0x0C72124F), "of decimal values")
_WORD_SIZE = 0xF0
_HEADER = struct.Struct(">iiiiqqd")
_MAX_BYTES = 64 << 20
_MAX_VALUE = 2**63


class CodecError(ValueError):
    """The text is no histogram; the message says why."""


def decode(text: str) -> list[tuple[int, int, int]]:
    """The histogram in a log line: (lowest value, highest value, count) of every bucket in use, rising.

    Raises CodecError.
    """
    try:
        data = base64.b64decode(text.strip().encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise CodecError(f"it is not base64 ({error})") from error
    payload = _inflate(data)
    if len(payload) < _HEADER.size:
        raise CodecError("it is cut short")
    cookie, length, offset, digits, lowest, highest, _ratio = _HEADER.unpack_from(payload)
    _check(cookie, _PLAIN_V2)
    if offset != 0:
        raise CodecError("its values are shifted, which is not supported")
    if not (0 <= digits <= 5 and 1 <= lowest <= highest // 2):
        raise CodecError("its header makes no sense")
    counts = payload[_HEADER.size :]
    if not 0 <= length <= len(counts):
        raise CodecError("it is cut short")
    return list(_buckets(counts[:length], digits, lowest))


def _inflate(data: bytes) -> bytes:
    if len(data) < 8:
        raise CodecError("it is cut short")
    cookie, length = struct.unpack_from(">ii", data)
    _check(cookie, _COMPRESSED_V2)
    if not 0 <= length <= len(data) - 8:
        raise CodecError("it is cut short")
    inflater = zlib.decompressobj()
    try:
        # A few bytes can inflate to gigabytes.
        payload = inflater.decompress(data[8 : 8 + length], _MAX_BYTES)
    except zlib.error as error:
        raise CodecError(f"it does not inflate ({error})") from error
    if inflater.unconsumed_tail or not inflater.eof:
        raise CodecError("it is cut short, or too large")
    return payload


def _check(cookie: int, expected: int) -> None:
    kind = cookie & ~_WORD_SIZE
    if kind != expected:
        # The cookie of decimal values is a whole number of its own: no part of it says how wide a word is.
        other = _OTHERS.get(cookie, _OTHERS.get(kind))
        sort = f"a histogram {other}" if other else "no histogram"
        raise CodecError(f"it is {sort}; only V2 of whole numbers is read")


def _buckets(counts: bytes, digits: int, lowest: int) -> Iterator[tuple[int, int, int]]:
    """Bucket by bucket; each half of the value range doubles the width of its buckets."""
    unit = lowest.bit_length() - 1
    half_magnitude = max(0, (2 * 10**digits - 1).bit_length() - 1)
    half = 1 << half_magnitude
    index = 0
    for word in _words(counts):
        if word < 0:
            # A negative count stands for that many empty buckets.
            index -= word
        else:
            bucket, sub = (index >> half_magnitude) - 1, (index & (half - 1)) + half
            if bucket < 0:
                bucket, sub = 0, sub - half
            # Python would shift by millions of bits if asked to.
            if bucket + unit > 63 or (sub + 1) << (bucket + unit) > _MAX_VALUE:
                raise CodecError("it counts values beyond 64 bits")
            if word:
                low = sub << (bucket + unit)
                yield low, low + (1 << (bucket + unit)) - 1, word
            index += 1


def _words(data: bytes) -> Iterator[int]:
    """ZigZag LEB128 numbers: seven bits a byte, the ninth byte has eight."""
    at = 0
    while at < len(data):
        value = shift = 0
        while True:
            if at >= len(data):
                raise CodecError("its last count is cut short")
            byte = data[at]
            at += 1
            if shift == 56:
                value |= byte << shift
                break
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        yield (value >> 1) ^ -(value & 1)
