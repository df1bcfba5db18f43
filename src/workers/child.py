"""The child's side of a process that a service keeps, and how messages travel between parent and child.

A message is a pickle (protocol 5) whose large buffers follow it on the socket uncopied. The parent never unpickles
freely: the child may have read hostile bytes, so what it answers is limited to domain objects and numpy arrays.
"""

import ctypes
import faulthandler
import importlib
import io
import logging
import os
import pickle
import signal
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from src.domain.errors import VoiceServiceError
from src.utils.tracing import OWN_LOGGER, log_uncaught, where

READY, RESULT, ERROR, DEFECT, LOG, ANSWER = "ready", "result", "error", "defect", "log", "answer"
"""The first element of every message from a child. RESULT, ERROR and DEFECT are outcomes of a call."""

LENGTHS = {READY: 2, RESULT: 2, ERROR: 2, DEFECT: 2, LOG: 4, ANSWER: 3}
"""How many elements each of them has."""

MAX_MESSAGE_BYTES = 2**29
MAX_BUFFERS = 4096
MAX_LOG_CHARACTERS = 4000

_COUNT = struct.Struct("<I")
_NUMPY_GLOBALS = frozenset({"_reconstruct", "_frombuffer", "ndarray", "dtype", "scalar"})
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What a child is told at birth. The callables are pickled apart: `init` runs before the factory's imports, then
    `factory` makes what `serve` is given, beside the channel, to answer the parent with until the parent is gone.
    """

    init: bytes
    factory: bytes
    serve: bytes
    log_level: int


Outcome = tuple[str, object]
"""RESULT, ERROR or DEFECT, and the value, the error of the domain, or a text for the log."""


class ConnectionLost(Exception):
    """The other side is gone, or sent what nobody here would send."""


def send(connection: socket.socket, message: object) -> None:
    """Write one message. Raises ConnectionLost; what pickle raises comes before anything is written."""
    buffers: list[pickle.PickleBuffer] = []
    stream = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    views: list[memoryview] = [memoryview(stream), *(buffer.raw() for buffer in buffers)]
    header = _COUNT.pack(len(views)) + struct.pack(f"<{len(views)}Q", *(view.nbytes for view in views))
    try:
        connection.sendall(header)
        for view in views:
            connection.sendall(view)
    except OSError as error:
        raise ConnectionLost from error


def receive(connection: socket.socket, *, trusted: bool) -> Any:
    """Read one message. `trusted` False: only domain objects and numpy arrays are rebuilt. Raises ConnectionLost."""
    (count,) = _COUNT.unpack(_read(connection, _COUNT.size))
    if not 0 < count <= MAX_BUFFERS:
        raise ConnectionLost
    sizes = struct.unpack(f"<{count}Q", _read(connection, 8 * count))
    if sum(sizes) > MAX_MESSAGE_BYTES:
        raise ConnectionLost
    stream, *buffers = [_read(connection, size) for size in sizes]
    if trusted:
        return pickle.loads(stream, buffers=buffers)  # noqa: S301 - the child trusts its parent
    try:
        return _DomainUnpickler(io.BytesIO(stream), buffers=buffers).load()
    except Exception as error:
        raise ConnectionLost from error


def _read(connection: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    try:
        while view:
            count = connection.recv_into(view)
            if count == 0:
                raise ConnectionLost
            view = view[count:]
    except OSError as error:
        raise ConnectionLost from error
    return data


class _DomainUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, name: str) -> Any:
        """A class or function of this service's domain, or what numpy needs to rebuild an array. No dotted names."""
        in_domain = module_name.startswith("src.domain.")
        in_numpy = module_name.split(".", maxsplit=1)[0] == "numpy" and name in _NUMPY_GLOBALS
        if in_domain or in_numpy:
            found = getattr(importlib.import_module(module_name), name, None)
            if in_numpy or getattr(found, "__module__", None) == module_name:
                return found
        raise pickle.UnpicklingError(f"{module_name}.{name} may not come from a child process")


class _ParentLog(logging.Handler):
    """Hands the child's log records to the parent, which has the configured handlers."""

    def __init__(self, channel: "Channel") -> None:
        super().__init__()
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(ConnectionLost):
            text = record.getMessage()
            if record.exc_info and record.exc_info[1]:
                text = f"{text}\n{where(record.exc_info[1])}"
            self._channel.send((LOG, record.name, record.levelno, text[:MAX_LOG_CHARACTERS]))


class Channel:
    """The child's end. Any thread may send; one receives."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, message: tuple[object, ...]) -> None:
        with self._lock:  # a library's thread may log while an answer is being written
            send(self._connection, message)

    def receive(self) -> Any:
        return receive(self._connection, trusted=True)


def main(descriptor: int, parent_pid: int) -> None:
    """Build one object, then run its methods until the parent goes away."""
    faulthandler.enable()
    _leave_signals_to_the_parent()
    _die_with(parent_pid)
    channel = Channel(socket.socket(fileno=descriptor))
    with suppress(ConnectionLost):
        spec: ChildSpec = channel.receive()
        logging.basicConfig(level=max(spec.log_level, logging.INFO), handlers=[_ParentLog(channel)])
        logging.getLogger(OWN_LOGGER).setLevel(spec.log_level)
        logging.captureWarnings(capture=True)
        log_uncaught()
        prepared = _prepare(spec, channel, parent_pid)
        if prepared is not None:
            worker, serve = prepared
            channel.send((READY, getattr(worker, "told", {})))
            serve(channel, worker)


def _prepare(
    spec: ChildSpec, channel: Channel, parent_pid: int
) -> tuple[object, Callable[[Channel, object], None]] | None:
    try:
        init = pickle.loads(spec.init)  # noqa: S301 - from the parent
        if init is not None:
            init()
            _die_with(parent_pid)  # leaving a user namespace's credentials behind clears it
        return pickle.loads(spec.factory)(), pickle.loads(spec.serve)  # noqa: S301 - from the parent
    except VoiceServiceError as error:
        channel.send((ERROR, error))
    except Exception:  # noqa: BLE001 - whatever went wrong, the parent says why it cannot start
        channel.send((DEFECT, traceback.format_exc()))
    return None


def serve_calls(before_call: Callable[[], None] | None, channel: Channel, worker: object) -> None:
    """Run methods of `worker`, one call at a time. Raises ConnectionLost when the parent is gone."""
    while True:
        method, args = channel.receive()
        if before_call is not None:
            before_call()
        answer = outcome(partial(_call, worker, method, args))
        del args  # an idle child holds no audio
        try:
            channel.send(answer)
        except (pickle.PicklingError, TypeError, AttributeError):
            channel.send((DEFECT, f"{method} returned what cannot be pickled: {type(answer[1]).__name__}"))
        del answer


def _call(worker: object, method: str, args: tuple[object, ...]) -> object:
    return getattr(worker, method)(*args)


def outcome(work: Callable[[], object]) -> Outcome:
    """What became of `work`: its result, an error of the domain, or a defect without what the caller sent."""
    try:
        return (RESULT, work())
    except VoiceServiceError as error:
        return (ERROR, error)
    except MemoryError:
        os._exit(os.EX_OSERR)  # what is left of this process is not worth keeping
    except Exception as error:  # noqa: BLE001 - every defect is reported; the child goes on
        # The message of a foreign exception may quote what the caller sent: only where it happened is reported.
        return (DEFECT, "".join(traceback.format_tb(error.__traceback__)) + type(error).__qualname__)


def _leave_signals_to_the_parent() -> None:
    """Ctrl-C, and a SIGTERM to the whole group, are the parent's to handle: it lets running calls end.

    A handler rather than SIG_IGN, which programs started by an engine would inherit.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)


def _die_with(parent_pid: int) -> None:
    """Have the kernel kill this process when the parent's thread for it ends. Elsewhere than on Linux, the socket's end
    ends it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(os.EX_UNAVAILABLE)
