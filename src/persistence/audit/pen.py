"""Signs in a thread of its own, while the thread that commits writes the rows.

OpenSSL signs and SQLite writes without the interpreter's lock, so both can be done at once; and a
signature takes about as long as the rows of a small transaction.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

import attrs


@attrs.define(eq=False)
class Promise:
    """A signature that is being made."""

    _sign: Callable[[bytes], bytes]
    _message: bytes
    _done: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _signature: bytes = attrs.field(default=b"", init=False)
    _error: BaseException | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._done.acquire()

    def make(self) -> None:
        """Signs; called once, by the thread that signs."""
        try:
            self._signature = self._sign(self._message)
        except BaseException as error:
            self._error = error  # raised where the signature is waited for
        finally:
            self._done.release()

    def __call__(self) -> bytes:
        """The signature, as soon as it is made."""
        with self._done:
            if self._error is not None:
                raise self._error
            return self._signature


class Pen:
    """A thread that signs, begun with the first signature that is asked for."""

    def __init__(self) -> None:
        self._asked: SimpleQueue[Promise | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def sign(self, sign: Callable[[bytes], bytes], message: bytes) -> Promise:
        """A promise of what *sign* gives for *message*."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="signing", daemon=True)
            self._thread.start()
        promise = Promise(sign, message)
        self._asked.put(promise)
        return promise

    def _work(self) -> None:
        while (promise := self._asked.get()) is not None:
            promise.make()

    def close(self) -> None:
        """Ends the thread once everything that was asked for is signed."""
        if self._thread is not None:
            self._asked.put(None)
            self._thread.join()
            self._thread = None
