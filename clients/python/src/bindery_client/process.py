"""The behaviour of senders when the process forks or ends."""

from __future__ import annotations

import atexit
import os
import sys
import time
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .sender import Sender
    from .session import Session

EXIT_TIMEOUT = 5.0

_senders: weakref.WeakSet[Sender] = weakref.WeakSet()
_registered_in: int | None = None
_ended_in: int | None = None


def follow(sender: Sender) -> None:
    """Let a sender survive a fork, and deliver at the process's end."""
    _senders.add(sender)


def pid() -> int:
    """Return the number of this process."""
    return os.getpid()


def is_own(session: Session) -> bool:
    """Return whether this process has begun the session, rather than inherited it in a fork."""
    return session.pid == os.getpid()


def deliver_at_exit() -> None:
    """Register, once a process, the delivery of what waits when the process ends."""
    global _registered_in
    if _registered_in == os.getpid():
        return
    was_registered = _registered_in is not None
    _registered_in = os.getpid()
    if not was_registered:
        atexit.register(_deliver)
    # Children of multiprocessing end by os._exit, without atexit before Python 3.12.
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        from multiprocessing import util

        util.Finalize(None, _deliver, exitpriority=10)


def is_ending() -> bool:
    """Return whether this process is ending and has made its last delivery."""
    return _ended_in == os.getpid()


def _deliver() -> None:
    global _ended_in
    _ended_in = os.getpid()
    deadline = time.monotonic() + EXIT_TIMEOUT
    for sender in list(_senders):
        sender.close(max(deadline - time.monotonic(), 0.0))


def _after_fork() -> None:
    for sender in list(_senders):
        sender.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
