"""A slot: the child process in which guests run (`python -m sandbox.slot`, started by `sandbox.pool`).

Guarantees: jobs run one at a time in the order they came; each is answered once, or given back unbegun; a result is
never held back while a long job runs. The main thread runs guests; a watchdog thread interrupts what is over its
wall time or unwanted, hears the pool's orders, and ends the process when the pool is gone.

It leaves to the pool: what happens to jobs when this process dies.
"""

import contextlib
import gc
import os
import select
import signal
import socket
import sys
import threading
import time
from collections import deque

import msgspec

from sandbox import wire
from sandbox.confine import confine
from sandbox.job import fault
from sandbox.runner import Runner
from sandbox.store import ModuleStore

TICK_S = 0.02
"""How often the watchdog looks while there is work; wall times are kept to about this."""
TICKS_BEFORE_PARKING = 50
"""After this many idle looks the watchdog sleeps until the next job."""
SHORT_MS = 0.3
"""A job expected to take less does not make finished results be sent first."""
HELD_S = 0.001
"""No result waits longer than this for others while jobs are short."""
RECEIVE_BYTES = 1 << 18
KINDS_KEPT = 4_096
"""Pairs of module and entry whose time is remembered."""
LEARN = 0.2
"""Weight of the newest run in a job's expected time."""


class Slot:
    """The child's side of one slot."""

    def __init__(self, runner: Runner, jobs: socket.socket, orders: socket.socket, page: wire.Page) -> None:
        self._runner = runner
        self._jobs = jobs
        self._orders = orders
        self._page = page
        self._pending: deque[wire.Down] = deque()
        self._unwanted: set[int] = set()
        self._running = 0
        # Both threads add and take: single deque operations, which need no lock.
        self._replies: deque[wire.Up] = deque()
        self._sending = threading.Lock()
        self._reader = wire.FrameReader()
        self._receiving = threading.Lock()
        self._expected: dict[tuple[str, str], float] = {}
        self._active = False
        self._parked = False
        self._wake_out, self._wake_in = os.pipe()
        runner.is_cancelled = lambda: self._running in self._unwanted

    def serve(self) -> None:
        """Run jobs until the pool closes its end."""
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        self._jobs.sendall(wire.frame([]))
        readable = select.poll()
        readable.register(self._jobs, select.POLLIN)
        while True:
            readable.poll()
            self._active = True
            if self._parked:
                os.write(self._wake_in, b"w")
            if not self._receive():
                return
            self._run_pending()
            self._active = False

    def _receive(self) -> bool:
        """Queue what has come, without waiting; False when the pool closed its end."""
        with self._receiving:
            try:
                data = self._jobs.recv(RECEIVE_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return True
            for body in self._reader.feed(data):
                self._pending.extend(wire.decode_down(body))
            return bool(data)

    def _run_pending(self) -> None:
        sent = time.monotonic()
        while self._pending:
            try:
                number, raw = self._pending.popleft()
            except IndexError:
                return  # the watchdog gave the rest back
            try:
                job = wire.decode_job(raw)
            except msgspec.MsgspecError as error:
                self._replies.append((number, fault("unavailable", f"the job is malformed: {error}")))
                continue
            key = (job.module, job.entry)
            now = time.monotonic()
            if self._replies and (now - sent > HELD_S or self._expected.get(key, SHORT_MS) >= SHORT_MS):
                self._flush()
                sent = now
            self._running = number
            # Looked up after `_running` is set: a stop order either finds it set, or is found here.
            if number in self._unwanted:
                self._running = 0
                self._unwanted.discard(number)
                self._replies.append((number, None))
                continue
            self._page.began(number, now)
            outcome = self._runner.run(job)
            self._replies.append((number, outcome))
            self._running = 0
            self._page.began(0, now)
            self._unwanted.discard(number)
            before = self._expected.get(key, outcome.wall_ms)
            self._expected[key] = before + LEARN * (outcome.wall_ms - before)
        if len(self._expected) > KINDS_KEPT:
            self._expected.clear()
        self._flush()

    def _flush(self) -> None:
        self._page.spent(time.process_time())
        with self._sending:
            replies = _drain(self._replies)
            if replies:
                self._jobs.sendall(wire.frame(replies))

    # The watchdog's thread

    def _watch(self) -> None:
        try:
            self._watch_on()
        finally:
            # The pool is gone, or this thread failed: without a watchdog no guest may run on.
            os._exit(1)

    def _watch_on(self) -> None:
        idle = 0
        held = 0
        buffer = bytearray()
        while True:
            idle = 0 if self._active else idle + 1
            self._parked = idle > TICKS_BEFORE_PARKING
            # Looked at again after `_parked` is set: a job that began in between saw it unset and did not wake us.
            wait = None if self._parked and not self._active else TICK_S
            ready, _, _ = select.select([self._orders.fileno(), self._wake_out], [], [], wait)
            if self._wake_out in ready:
                os.read(self._wake_out, RECEIVE_BYTES)
            if self._orders.fileno() in ready:
                data = self._orders.recv(RECEIVE_BYTES)
                if not data:
                    return
                buffer += data
                while len(buffer) >= wire.ORDER.size:
                    self._obey(*wire.ORDER.unpack_from(buffer))
                    del buffer[: wire.ORDER.size]
            if self._running:
                self._page.spent(time.process_time())
                if time.monotonic() > self._runner.deadline or self._running in self._unwanted:
                    self._runner.interrupt()
            # Results that were held for a job that turned out to be long.
            held = held + 1 if self._replies else 0
            if held > 1:
                self._flush()

    def _obey(self, order: bytes, number: int) -> None:
        if order == wire.STOP:
            self._unwanted.add(number)
            if self._running == number:
                self._runner.interrupt()
        elif order == wire.GIVE_BACK:
            self._receive()  # jobs that came while the main thread runs one lie unread
            given = [number for number, _ in _drain(self._pending)]
            self._replies.extend((number, None) for number in given)
            self._flush()


def _drain[Item](queue: deque[Item]) -> list[Item]:
    """Take what is in a queue that another thread may be taking from, too."""
    taken: list[Item] = []
    while queue:
        try:
            taken.append(queue.popleft())
        except IndexError:
            break
    return taken


def main() -> None:
    """Start a slot: `store jobs-fd orders-fd page-fd memory-mb parent-pid`."""
    path, jobs_fd, orders_fd, page_fd, memory_mb, parent = sys.argv[1:7]
    confine(int(memory_mb), int(parent))
    runner = Runner(ModuleStore(path))
    page = wire.Page(int(page_fd))
    os.close(int(page_fd))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.collect()
    gc.freeze()
    slot = Slot(runner, socket.socket(fileno=int(jobs_fd)), socket.socket(fileno=int(orders_fd)), page)
    # An OSError: the pool closed its end while we were answering.
    with contextlib.suppress(OSError):
        slot.serve()
    os._exit(0)  # without waiting for native threads; nothing is left to write


if __name__ == "__main__":
    main()
