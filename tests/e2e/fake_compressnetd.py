#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for compressnetd that carries plain bytes.

It reads the two configurations that `compressnet demo` writes, relays TCP
and answers on the control socket that its peer is up.  FAKE_FAULT makes it
misbehave, to see that the demonstration notices:

  flip   one bit of what it carries is wrong
  cut    connections are reset in the middle
  lose   one byte is missing
  early  a connection ends cleanly before its end
  die    it ends with exit code 9 as soon as it has carried something
  start  it ends with exit code 7 at once
  mute   its peer never is up
"""

import json
import os
import re
import socket
import struct
import sys
import threading
import time

FAULT = os.environ.get("FAKE_FAULT", "")
FAULT_AT = 100000


def port(text, pattern):
    found = re.search(pattern + r'[^\n]*?127\.0\.0\.1:(\d+)', text)
    return int(found.group(1)) if found else None


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                    struct.pack("ii", 1, 0))
    sock.close()


def pump(source, sink, is_faulty):
    carried = 0
    try:
        while True:
            data = source.recv(65536)
            if not data:
                sink.shutdown(socket.SHUT_WR)
                return
            if is_faulty and carried <= FAULT_AT < carried + len(data):
                at = FAULT_AT - carried
                if FAULT == "flip":
                    data = (data[:at] + bytes([data[at] ^ 4]) +
                            data[at + 1:])
                elif FAULT == "lose":
                    data = data[:at] + data[at + 1:]
                elif FAULT == "cut":
                    reset(sink)
                    reset(source)
                    return
                elif FAULT == "early":
                    sink.sendall(data[:at])
                    sink.shutdown(socket.SHUT_WR)
                    return
                elif FAULT == "die":
                    os._exit(9)
            carried += len(data)
            sink.sendall(data)
    except OSError:
        for sock in source, sink:
            try:
                reset(sock)
            except OSError:
                pass


def relay(listen, to, is_faulty):
    server = socket.create_server(("127.0.0.1", listen))
    while True:
        near, _ = server.accept()
        far = socket.create_connection(("127.0.0.1", to))
        threading.Thread(target=pump, args=(near, far, is_faulty),
                         daemon=True).start()
        threading.Thread(target=pump, args=(far, near, False),
                         daemon=True).start()


STATE = ["waiting"]


def probe(to):
    """Say that the peer is up once a connection through the link stays.

    Not while the control socket is answered: who asks there may be who
    carries the link.
    """
    while FAULT != "mute" and STATE[0] != "up":
        time.sleep(0.05)
        try:
            with socket.create_connection(("127.0.0.1", to), 1) as sock:
                sock.settimeout(0.3)
                sock.recv(1)
        except socket.timeout:
            STATE[0] = "up"
        except OSError:
            pass


def control(path):
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    while True:
        client, _ = server.accept()
        with client, client.makefile("rw") as lines:
            for line in lines:
                request = json.loads(line)
                lines.write(json.dumps({
                    "id": request["id"], "ok": True,
                    "data": {"peers": [{"name": "far",
                                        "state": STATE[0]}]}}) + "\n")
                lines.flush()


def main():
    text = open(sys.argv[sys.argv.index("-c") + 1]).read()
    if FAULT == "start":
        print("the stand-in was told to fail", file=sys.stderr)
        sys.exit(7)
    is_near = "services:" in text
    if is_near:
        listen, to = port(text, "listen:"), port(text, "address:")
    else:
        listen, to = port(text, "listen:"), port(text, "to:")
    path = re.search(r'socket: "([^"]+)"', text).group(1)
    threading.Thread(target=control, args=(path,), daemon=True).start()
    if is_near:
        threading.Thread(target=probe, args=(to,), daemon=True).start()
    relay(listen, to, is_near)


main()
