"""The wire to Redis: values by key, and messages to all processes that listen.

Nothing of Redis is imported before a wire is made. Once Redis does not answer, nobody waits for it:
the wire says that it is down, every question finds nothing, and a thread tries to come back.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

_log = logging.getLogger("headscope")
T = TypeVar("T")
# In front of every key and channel: what else is in the same Redis is left alone. The number rises
# when what is said over the wire changes, so that old and new processes do not meet.
PREFIX = "headscope:1:"
# Bytes of a value; a larger one is not written, and what is found of one is not read.
MAX_VALUE = 16 * 2**20
# Seconds until Redis has to answer, and between two tries to reach it.
TIMEOUT, AGAIN = 1.0, 0.3
_LOOK = 0.5  # seconds between two questions whether it is there
# Seconds between two looks whether somebody waits for too long: where Redis sends a byte now and
# then, no byte is late, and all of them are.
_WATCH = 0.1
# Seconds for going through the keys, of which somebody may have written any number.
_SCAN = 0.5
_EPOCH = "epoch"


class Wire:
    """A connection to one Redis, safe for any number of threads.

    Args:
        url: Of Redis, such as `redis://127.0.0.1:6379/0`; it may hold a password.

    Raises:
        ImportError: The package `redis` is not installed.
        ValueError: That is no address of a Redis.
    """

    def __init__(self, url: str):
        import redis  # with the setting only

        self._failures = (redis.RedisError, OSError)
        # It is there and says no: to a list where we keep a text, or for want of room.
        self._refusal = redis.ResponseError
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
        )
        self.name = secrets.token_hex(8)  # of this process among the others
        self._up = threading.Event()
        self._closed = threading.Event()
        self._epoch = b""
        self._asking: set[object] = set()  # questions under way
        # What has been logged: that it does not answer, that it refuses.
        self._said = self._refused = False

    @property
    def is_up(self) -> bool:
        """Whether Redis answered when it was last asked."""
        return self._up.is_set()

    def listen(
        self, heard: Mapping[str, Callable[[bytes], None]], joined: Callable[[bool], None]
    ) -> None:
        """From now on, in a thread of its own, take what is said.

        Args:
            heard: By channel, what takes a message.
            joined: Called whenever Redis is there (again), before any message: with whether all
                that it held before is still there.
        """
        threading.Thread(
            target=self._listen, args=(heard, joined), daemon=True, name="redis"
        ).start()
        threading.Thread(target=self._watch, daemon=True, name="redis-watch").start()

    def close(self) -> None:
        """Listen no more."""
        self._closed.set()
        self._up.clear()

    def wait(self, seconds: float) -> bool:
        """Wait until Redis is there, at most so long; whether it is."""
        return self._up.wait(seconds)

    def get(self, key: str, most: int = MAX_VALUE) -> bytes | None:
        """A value; None where there is none, it is larger than `most`, or the wire is down."""
        found = self._asked(lambda: self._redis.getrange(PREFIX + key, 0, most))
        return found if isinstance(found, bytes) and 0 < len(found) <= most else None

    def put(self, key: str, data: bytes, seconds: float) -> bool:
        """Keep a value for so long; whether it is kept."""
        if len(data) > MAX_VALUE:
            return False
        kept = self._asked(lambda: self._redis.set(PREFIX + key, data, px=int(seconds * 1000)))
        return bool(kept)

    def drop(self, *keys: str) -> bool:
        """Forget values; whether Redis has heard so."""
        return self._asked(lambda: self._redis.delete(*(PREFIX + key for key in keys))) is not None

    def keys(self, begin: str, most: int) -> list[str]:
        """Keys with that beginning, at most so many."""

        def found() -> list[str]:
            names: list[str] = []
            at, until = -1, time.monotonic() + _SCAN
            while at and len(names) < most and time.monotonic() < until:
                at, some = self._redis.scan(max(at, 0), f"{PREFIX}{begin}*", count=1000)
                names += [name.decode("utf-8", "replace").removeprefix(PREFIX) for name in some]
            return names[:most]

        return self._asked(found) or []

    def lease(self, key: str, seconds: float) -> bool | None:
        """Whether this process alone has `key` for so long, from now on or further; None: unknown.

        It ends by itself where a process is killed. All take the same key for as long.
        """

        def taken() -> bool:
            name, mine, most = PREFIX + key, self.name.encode(), int(seconds * 1000)
            if self._redis.set(name, mine, nx=True, px=most):
                return True
            if self._redis.getrange(name, 0, len(mine)) == mine:
                return bool(self._redis.pexpire(name, most))
            left = self._redis.pttl(name)
            if 0 <= left <= most:
                return False
            # One that would not end in time was written by nobody of ours: all would wait for it.
            # One of -2 is gone by now.
            if left != -2:
                self._redis.delete(name)
            return bool(self._redis.set(name, mine, nx=True, px=most))

        return self._asked(taken)

    def add(self, index: str, member: str, seconds: float) -> bool:
        """Put a name at the end of an index, or move it there; the index ends after so long."""

        def added() -> bool:
            self._redis.zadd(PREFIX + index, {member: time.time()})
            return bool(self._redis.pexpire(PREFIX + index, int(seconds * 1000)))

        return bool(self._asked(added))

    def members(self, index: str, most: int) -> list[str]:
        """The names in an index, the latest first, at most so many."""
        found = self._asked(lambda: self._redis.zrevrange(PREFIX + index, 0, most - 1)) or []
        return [name.decode("utf-8", "replace") for name in found]

    def remove(self, index: str, *members: str) -> bool:
        """Take names out of an index."""
        return self._asked(lambda: self._redis.zrem(PREFIX + index, *members)) is not None

    def say(self, channel: str, data: bytes) -> bool:
        """Tell all processes that listen, this one too; whether Redis has heard so."""
        return self._asked(lambda: self._redis.publish(PREFIX + channel, data)) is not None

    def _asked(self, question: Callable[[], T]) -> T | None:
        if not self._up.is_set():
            return None
        mine = object()
        self._asking.add(mine)
        try:
            return question()
        except self._refusal as error:
            if not self._refused:
                self._refused = True
                _log.warning("Redis refuses (%s): not all is shared", str(error)[:80])
            return None
        except self._failures as error:
            self._lose(error)
            return None
        except Exception:
            if self._up.is_set():
                raise
            return None  # its line was cut while it was read
        finally:
            self._asking.remove(mine)

    def _watch(self) -> None:
        """Cut the line where a question takes too long.

        By looks and not by the clock: where Python does nothing for a while, Redis is not late.
        """
        looks: dict[object, int] = {}
        while not self._closed.wait(_WATCH):
            looks = {each: looks.get(each, 0) + 1 for each in list(self._asking)}
            if any(count * _WATCH > TIMEOUT for count in looks.values()):
                self._lose(TimeoutError())
                self._redis.connection_pool.disconnect()

    def _lose(self, error: BaseException) -> None:
        self._up.clear()
        if not self._said:
            self._said = True
            # Not the address, which may hold a password.
            _log.warning("Redis does not answer (%s): nothing is shared", type(error).__name__)

    def _listen(
        self, heard: Mapping[str, Callable[[bytes], None]], joined: Callable[[bool], None]
    ) -> None:
        while not self._closed.is_set():
            try:
                with self._redis.pubsub(ignore_subscribe_messages=True) as said:
                    said.subscribe(*(PREFIX + channel for channel in heard))
                    kept = self._come_back()
                    self._up.set()
                    self._said = False
                    joined(kept)
                    while self._up.is_set():
                        message = said.get_message(timeout=_LOOK)
                        if message is None:
                            self._redis.ping()  # a line that is cut says nothing either
                            continue
                        channel, data = message["channel"], message["data"]
                        if isinstance(data, bytes) and len(data) <= MAX_VALUE:
                            self._take(heard[channel.decode().removeprefix(PREFIX)], data)
            except self._failures as error:
                self._lose(error)
            except Exception:  # the thread is needed for what comes next
                _log.exception("what other processes share could not be taken in")
            self._closed.wait(AGAIN)

    @staticmethod
    def _take(take: Callable[[bytes], None], data: bytes) -> None:
        try:
            take(data)
        except Exception:  # the next message may be a sound one
            _log.exception("a message of another process could not be taken in")

    def _come_back(self) -> bool:
        """Whether Redis still holds what it held when it was last there: it may have begun anew."""
        name = PREFIX + _EPOCH
        self._redis.set(name, secrets.token_bytes(16), nx=True)
        try:
            epoch = self._redis.getrange(name, 0, 15)
        except self._refusal:  # no mark of ours: as if all were new
            epoch = b""
        kept = bool(epoch) and epoch == self._epoch
        self._epoch = epoch
        return kept
