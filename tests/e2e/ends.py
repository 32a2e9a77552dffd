# SPDX-License-Identifier: Apache-2.0
"""Sockets of applications: what they do to a connection, what they see."""
import errno
import hashlib
import socket
import struct
import threading
import time

HOST = "127.0.0.1"
PATIENCE_S = 20
RESETS = (ConnectionResetError, BrokenPipeError)


class Connection(socket.socket):
    """A client's socket.  A gateway may reset it so soon that connect()
    tells already; it then counts as one that was reset, as it would a
    moment later."""

    was_reset = False


def connect(port, host=HOST):
    """A connection; host may be a path of a Unix socket with port None."""
    if port is None:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE_S)
        sock.connect(host)
        return sock
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = Connection(family)
    sock.settimeout(PATIENCE_S)
    try:
        sock.connect((host, port))
    except ConnectionResetError:
        sock.was_reset = True
        return sock
    except OSError:
        sock.close()
        raise
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def listen(port, host=HOST):
    """A listening socket; host may be a path with port None."""
    if port is None:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(host)
    else:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    sock.listen(512)
    sock.settimeout(PATIENCE_S)
    return sock


def accept(listener):
    sock = listener.accept()[0]
    sock.settimeout(PATIENCE_S)
    return sock


def both_ends(listener, port, host=HOST):
    """A new connection through the gateways: (client, server)."""
    client = connect(port, host)
    return client, accept(listener)


def reset(sock):
    """End with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                    struct.pack("ii", 1, 0))
    sock.close()


def receive(sock, count):
    """Exactly so many bytes."""
    data = bytearray()
    while len(data) < count:
        part = sock.recv(min(65536, count - len(data)))
        if not part:
            raise EOFError(f"end after {len(data)} of {count} bytes")
        data += part
    return bytes(data)


def drain(sock):
    """All that still comes, and how it ends: "end" or "reset"."""
    data = bytearray()
    if getattr(sock, "was_reset", False):
        return b"", "reset"
    while True:
        try:
            part = sock.recv(65536)
        except RESETS:
            return bytes(data), "reset"
        if not part:
            return bytes(data), "end"
        data += part


def is_cut(sock, patience_s=PATIENCE_S):
    """After an end of file a reset shows only as the socket's error."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error != 0:
            return error in (errno.EPIPE, errno.ECONNRESET)
        time.sleep(0.002)
    return False


class Sender(threading.Thread):
    """Sends bytes, shuts down; .error says what went wrong."""

    def __init__(self, sock, data, shut=True):
        super().__init__(daemon=True)
        self.sock = sock
        self.data = data
        self.shut = shut
        self.error = None
        self.start()

    def run(self):
        try:
            self.sock.sendall(self.data)
            if self.shut:
                self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.error = error


class Receiver(threading.Thread):
    """Receives to the end; .data, .how, .error."""

    def __init__(self, sock):
        super().__init__(daemon=True)
        self.sock = sock
        self.data = b""
        self.how = None
        self.error = None
        self.start()

    def run(self):
        try:
            self.data, self.how = drain(self.sock)
        except OSError as error:
            self.error = error


def digest(data):
    return hashlib.sha256(data).hexdigest()


def swap(a, b, a_data, b_data):
    """Each sends its bytes and shuts down; both must arrive unchanged."""
    threads = [Sender(a, a_data), Sender(b, b_data)]
    receivers = [Receiver(b), Receiver(a)]
    for thread in threads + receivers:
        thread.join(60)
        assert not thread.is_alive()
        assert thread.error is None
    for receiver, data in zip(receivers, (a_data, b_data)):
        assert receiver.how == "end"
        assert len(receiver.data) == len(data)
        assert digest(receiver.data) == digest(data)


class Server:
    """Runs a function for each connection, in a thread of its own."""

    def __init__(self, listener, serve):
        self.listener = listener
        self.listener.settimeout(None)
        self.serve = serve
        self.socks = []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                sock = self.listener.accept()[0]
            except OSError:
                return
            self.socks.append(sock)
            threading.Thread(target=self.guard, args=(sock,),
                             daemon=True).start()

    def guard(self, sock):
        try:
            self.serve(sock)
        except OSError:
            pass
        finally:
            sock.close()

    def close(self):
        # Wakes accept(), which close() alone does not.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(PATIENCE_S)
        self.listener.close()
        for sock in self.socks:
            sock.close()


def echo(sock):
    """Send back what comes, and the end when it ends."""
    while True:
        data = sock.recv(65536)
        if not data:
            sock.shutdown(socket.SHUT_WR)
            return
        sock.sendall(data)
