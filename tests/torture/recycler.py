"""Other code of the same process: threads that recycle descriptors and notice who meddles with them."""

from __future__ import annotations

import os
import random
import socket
import threading
import time


class Recycler(threading.Thread):
    """Opens sockets and pipes, sends itself a byte through each, and closes them, for ever.

    A loop that closes a descriptor twice closes one of these; one that writes late writes to one of these;
    one that reads late steals their byte. All of that becomes a complaint.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(name="recycler", daemon=True)
        self.dice = random.Random(seed)
        self.complaints: list[str] = []
        self.rounds = 0
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Recycle until `stop` is called."""
        while not self._stop_asked.is_set():
            self.rounds += 1
            (self.recycle_pipe if self.dice.random() < 0.3 else self.recycle_sockets)()

    def stop(self) -> None:
        """End the thread; its descriptors are closed then."""
        self._stop_asked.set()
        self.join(10)

    def recycle_sockets(self) -> None:
        """One pair of sockets, from opening to closing."""
        pairs = [socket.socketpair() for _ in range(self.dice.randint(1, 4))]
        ends = [end for pair in pairs for end in pair]
        inodes = [os.fstat(end.fileno()).st_ino for end in ends]
        for end in ends:
            end.setblocking(False)
        time.sleep(self.dice.choice((0, 0, 1e-5, 1e-4)))
        try:
            for left, right in pairs:
                left.send(b"L")
                right.send(b"R")
            time.sleep(0)
            for left, right in pairs:
                self.expect(left.recv(100), b"R")
                self.expect(right.recv(100), b"L")
            found = [os.fstat(end.fileno()).st_ino for end in ends]
            if found != inodes:
                self.complaints.append("somebody closed a socket that was not theirs")
        except OSError as error:
            self.complaints.append(f"somebody closed or read a socket that was not theirs: {error!r}")
        for end in ends:
            self.close(end.detach())

    def recycle_pipe(self) -> None:
        """One pipe."""
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        time.sleep(self.dice.choice((0, 1e-5)))
        try:
            os.write(writer, b"P")
            time.sleep(0)
            self.expect(os.read(reader, 100), b"P")
        except OSError as error:
            self.complaints.append(f"somebody closed or read a pipe that was not theirs: {error!r}")
        for fd in (reader, writer):
            self.close(fd)

    def expect(self, found: bytes, expected: bytes) -> None:
        """Complain about bytes that are not ours."""
        if found != expected:
            self.complaints.append(f"bytes for somebody else: {found!r} instead of {expected!r}")

    def close(self, fd: int) -> None:
        """Close one descriptor, which nobody else may have done."""
        try:
            os.close(fd)
        except OSError as error:
            self.complaints.append(f"somebody closed descriptor {fd} before: {error!r}")
