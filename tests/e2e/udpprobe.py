#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What test_wan.py runs at the two ends of an emulated WAN.

udpprobe.py echo ADDRESS           answer each datagram
udpprobe.py ping ADDRESS N LEN S   N round trips, S seconds apart; prints a
                                   JSON list of seconds, null: no answer in 2 s
udpprobe.py sink ADDRESS           count; prints {"numbers", "seconds",
                                   "bytes"} after a second of silence
udpprobe.py flood ADDRESS N LEN S  N numbered datagrams, S seconds apart
"""
import json
import socket
import sys
import time

PORT = 7007
PAYLOAD_MAX = 65507


def echo(address):
    """For ever."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((address, PORT))
        print("ready", flush=True)
        while True:
            data, back = sock.recvfrom(PAYLOAD_MAX)
            sock.sendto(data, back)


def ping(address, count, length, every):
    """One at a time."""
    times = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((address, PORT))
        sock.settimeout(2)
        for number in range(count):
            data = number.to_bytes(4, "big") + bytes(length - 4)
            begun = time.monotonic()
            sock.send(data)
            try:
                while sock.recv(PAYLOAD_MAX)[:4] != data[:4]:
                    pass
                times.append(time.monotonic() - begun)
            except TimeoutError:
                times.append(None)
            time.sleep(every)
    print(json.dumps(times))


def sink(address):
    """Until nothing comes any more."""
    numbers = []
    first = last = 0.0
    total = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        sock.bind((address, PORT))
        sock.settimeout(15)
        print("ready", flush=True)
        try:
            while True:
                data = sock.recv(PAYLOAD_MAX)
                last = time.monotonic()
                if not numbers:
                    first = last
                    sock.settimeout(1)
                else:
                    total += len(data)
                numbers.append(int.from_bytes(data[:4], "big"))
        except TimeoutError:
            pass
    print(json.dumps({"numbers": numbers, "seconds": last - first,
                      "bytes": total}))


def flood(address, count, length, every):
    """Evenly, as well as it can."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((address, PORT))
        begun = time.monotonic()
        for number in range(count):
            left = begun + number * every - time.monotonic()
            if left > 0:
                time.sleep(left)
            sock.send(number.to_bytes(4, "big") + bytes(length - 4))


def main():
    what, address, *numbers = sys.argv[1:]
    if what == "echo":
        echo(address)
    elif what == "sink":
        sink(address)
    else:
        count, length, every = numbers
        {"ping": ping, "flood": flood}[what](
            address, int(count), int(length), float(every))


if __name__ == "__main__":
    main()
