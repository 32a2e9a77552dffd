# SPDX-License-Identifier: Apache-2.0
"""The conventions of doc/protocol.md, for the decoder beside this."""
import xxhash

BATCH_PLAIN_MAX = 262144
VARINT_MAX = 2 ** 62 - 1


class ProtocolError(Exception):
    """The bytes break the protocol."""


class BlockError(Exception):
    """A block that its receiver answers with NACK; args[0] is the reason."""


def need(condition, what):
    """Raise ProtocolError unless the condition holds."""
    if not condition:
        raise ProtocolError(what)


def clean(raw):
    """The text of some bytes."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as err:
        raise ProtocolError("text is not UTF-8") from err
    for char in text:
        need(not (ord(char) < 0x20 or 0x7f <= ord(char) < 0xa0),
             "control character in text")
    return text


class Cursor:
    """Reads the conventions of the protocol from bytes."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def left(self):
        return len(self.data) - self.at

    def take(self, count):
        need(count <= self.left(), "cut off")
        self.at += count
        return self.data[self.at - count:self.at]

    def fixed(self, size):
        return int.from_bytes(self.take(size), "big")

    def varint(self, least=0, most=VARINT_MAX):
        first = self.fixed(1)
        size = 1 << (first >> 6)
        value = first & 0x3f
        for _ in range(size - 1):
            value = value << 8 | self.fixed(1)
        shortest = (1 if value < 2 ** 6 else 2 if value < 2 ** 14 else
                    4 if value < 2 ** 30 else 8)
        need(size == shortest, "varint not in its shortest form")
        need(least <= value <= most, "number out of its range")
        return value

    def text(self, least, most):
        return clean(self.take(self.varint(least, most)))


def tlv_list(data):
    """[[type, hex], ...] of a TLV list."""
    cursor, found, last = Cursor(data), [], -1
    while cursor.left():
        kind = cursor.varint()
        need(kind > last, "TLV types not ascending")
        last = kind
        found.append([kind, cursor.take(cursor.varint()).hex()])
    return found


def number(value, size):
    return value.to_bytes(size, "big")


def xxh3(data, seed=0):
    return xxhash.xxh3_64_intdigest(data, seed)
