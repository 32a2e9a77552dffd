# SPDX-License-Identifier: Apache-2.0
"""A peer made by hand from doc/protocol.md: TLS, hello, nothing more.

    me = Identity(folder, key_file)
    with Peer(port, me, far_identity) as peer:
        answer = peer.hello(flags=NEW_LINK)

Its certificate is built here, dates and all; the hello can lie about
anything.
"""
import base64
import datetime
import hashlib
import hmac
import os
import socket
import ssl
import struct
import subprocess

HOST = "127.0.0.1"
PATIENCE_S = 10
ALPN = "compressnet/1"
LABEL = b"EXPORTER-compressnet-hello"
JOIN_LABEL = b"EXPORTER-compressnet-join"
NEW_LINK = 1
OK, LINK_UNKNOWN, STALE, VERSION, IDENTITY, PROTOCOL, REMOVED = (
    0, 1, 2, 3, 5, 6, 11)
ED25519_OID = bytes.fromhex("06032b6570")
COMMON_NAME_OID = bytes.fromhex("0603550403")
PAST = ("20000101000000Z", "20010101000000Z")
FUTURE = ("21000101000000Z", "21010101000000Z")


def now_dates():
    today = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    return tuple((today + offset).strftime("%Y%m%d%H%M%SZ")
                 for offset in (-day, day))


# ---- certificates ----

def der(tag, *parts):
    body = b"".join(parts)
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    size = (len(body).bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + len(body).to_bytes(size, "big") + body


def openssl(*words):
    return subprocess.run(["openssl", *words], check=True,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout


class Identity:
    """A key, and a certificate of it that was valid once, or will be."""

    def __init__(self, folder, key, dates=None):
        self.key = key
        self.spki = openssl("pkey", "-in", key, "-pubout", "-outform", "DER")
        self.digest = hashlib.sha256(self.spki).digest()
        self.cert = os.path.join(
            folder, f"{os.path.basename(key)}-{os.urandom(4).hex()}.pem")
        with open(self.cert, "wb") as out:
            out.write(b"-----BEGIN CERTIFICATE-----\n" +
                      base64.encodebytes(self.make(dates or now_dates())) +
                      b"-----END CERTIFICATE-----\n")

    def make(self, dates):
        algorithm = der(0x30, ED25519_OID)
        name = der(0x30, der(0x31, der(0x30, COMMON_NAME_OID,
                                       der(0x0c, b"whatever"))))
        valid = der(0x30, *(der(0x18, date.encode()) for date in dates))
        body = der(0x30, der(0xa0, der(2, b"\2")), der(2, b"\1"), algorithm,
                   name, valid, name, self.spki)
        path = self.cert + ".tbs"
        with open(path, "wb") as out:
            out.write(body)
        signature = openssl("pkeyutl", "-sign", "-inkey", self.key, "-rawin",
                            "-in", path)
        os.unlink(path)
        return der(0x30, body, algorithm, der(3, b"\0", signature))


# ---- hellos ----

def varint(value):
    for size, mark in ((1, 0), (2, 1), (4, 2), (8, 3)):
        if value < 1 << (8 * size - 2):
            return (value | mark << (8 * size - 2)).to_bytes(size, "big")
    raise ValueError(value)


class Reader:
    def __init__(self, data):
        self.data = data

    def take(self, count):
        if count > len(self.data):
            raise ValueError("cut off")
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def varint(self):
        size = 1 << (self.data[0] >> 6)
        return int.from_bytes(self.take(size), "big") & (
            (1 << (8 * size - 2)) - 1)


BYTES = (("identity", 32), ("peer", 32), ("exporter", 32), ("boot_id", 16),
         ("link_id", 16))
NUMBERS = ("slot", "generation", "workers", "credit_floor", "lanes",
           "lane_window_log", "prefix_max", "streams_max")
TEXTS = ("name", "text")


def encode_hello(hello):
    body = b"".join(varint(hello[name]) for name in (
        "version_min", "version_max", "status", "flags"))
    body += struct.pack(">Q", hello["features"])
    body += b"".join(hello[name] for name, _ in BYTES)
    body += b"".join(varint(hello[name]) for name in NUMBERS)
    for name in TEXTS:
        text = hello[name].encode()
        body += varint(len(text)) + text
    return struct.pack(">H", len(body)) + body


def decode_hello(body):
    reader = Reader(body)
    hello = {name: reader.varint() for name in (
        "version_min", "version_max", "status", "flags")}
    hello["features"] = struct.unpack(">Q", reader.take(8))[0]
    hello.update((name, reader.take(size)) for name, size in BYTES)
    hello.update((name, reader.varint()) for name in NUMBERS)
    hello.update((name, reader.take(reader.varint()).decode())
                 for name in TEXTS)
    return hello


# ---- the exporter, RFC 8446, section 7.5 ----

def expand_label(secret, label, context, length, name):
    label = b"tls13 " + label
    info = (struct.pack(">H", length) + bytes([len(label)]) + label +
            bytes([len(context)]) + context)
    out, block, count = b"", b"", 1
    while len(out) < length:
        block = hmac.new(secret, block + info + bytes([count]), name).digest()
        out += block
        count += 1
    return out[:length]


def export(secret, name, label=LABEL):
    nothing = hashlib.new(name, b"").digest()
    derived = expand_label(secret, label, nothing, len(nothing), name)
    return expand_label(derived, b"exporter", nothing, 32, name)


# ---- connections ----

def context_of(identity, side=ssl.PROTOCOL_TLS_CLIENT, alpn=ALPN):
    """A TLS context that takes whatever the other end shows."""
    context = ssl.SSLContext(side)
    if side == ssl.PROTOCOL_TLS_CLIENT:
        context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if identity is not None:
        context.load_cert_chain(identity.cert, identity.key)
    if alpn is not None:
        context.set_alpn_protocols([alpn])
    return context


class Peer:
    """A carrier that is dialled by hand."""

    def __init__(self, port, identity, other, context=None):
        self.identity = identity
        self.other = other
        self.secrets = f"{identity.cert}-{os.urandom(4).hex()}.secrets"
        self.context = context or context_of(identity)
        self.context.keylog_filename = self.secrets
        raw = socket.create_connection((HOST, port), timeout=PATIENCE_S)
        try:
            self.sock = self.context.wrap_socket(raw)
        except BaseException:
            raw.close()
            raise
        self.name = "sha384" if "SHA384" in self.sock.cipher()[0] else "sha256"

    def exporter(self, label=LABEL):
        with open(self.secrets, encoding="ascii") as lines:
            secret = next(line.split()[2] for line in lines
                          if line.startswith("EXPORTER_SECRET"))
        return export(bytes.fromhex(secret), self.name, label)

    def hello(self, **fields):
        """Say hello; the answer, or None when there was none."""
        hello = {"version_min": 1, "version_max": 1, "status": 0, "flags": 0,
                 "features": 0, "identity": self.identity.digest,
                 "peer": self.other, "exporter": self.exporter(),
                 "boot_id": b"b" * 16, "link_id": b"l" * 16, "slot": 0,
                 "generation": 1, "workers": 1, "credit_floor": 16384,
                 "lanes": 16, "lane_window_log": 17, "prefix_max": 0,
                 "streams_max": 1000, "name": "by-hand", "text": ""}
        hello.update(fields)
        self.sock.sendall(encode_hello(hello))
        head = self.receive(2)
        if head is None:
            return None
        return decode_hello(self.receive(struct.unpack(">H", head)[0]))

    def receive(self, count):
        """So many bytes; None at the end."""
        data = b""
        while len(data) < count:
            try:
                part = self.sock.recv(count - len(data))
            except (ssl.SSLError, ConnectionResetError):
                return None
            if not part:
                return None
            data += part
        return data

    def ends(self):
        """Does the other side close?"""
        try:
            while self.sock.recv(65536):
                pass
        except TimeoutError:
            return False
        except (ssl.SSLError, OSError):
            pass
        return True

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
