"""Asking a store of buckets until it answers: what all of them share, and what is said when none comes.

Transient faults are retried as a whole: a service that is down or overloaded, a refused or broken connection, an answer
that does not end. Wrong answers (a different checksum, a proxy's page) are retried a few times. Faults that only a
person can mend are reported at once.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from kfp_bayesopt.errors import UnavailableError, UserError

logger = logging.getLogger("storage")

ATTEMPT = 5 * 60  # how long one attempt may take: 40 MB at 1 Mbit/s, or an answer that trickles
MAX_DAMAGED = 5
FIRST_WORD, NEXT_WORD = 10, 60  # when a person hears that storage does not answer
LONGEST_ANSWER = 300  # characters of an answer in a message

T = TypeVar("T")


@dataclass(frozen=True)
class Retry:
    """How long a store is asked, and the pauses between, which double and are random below that.

    Attributes:
        initial: The longest first pause, in seconds.
        maximum: The longest pause.
        timeout: The time in which an attempt may begin.
    """

    initial: float
    maximum: float
    timeout: float

    def with_delay(self, initial: float, maximum: float) -> Retry:
        """Return one with other pauses."""
        return replace(self, initial=initial, maximum=maximum)

    def with_timeout(self, timeout: float) -> Retry:
        """Return one with another time."""
        return replace(self, timeout=timeout)


RETRY = Retry(initial=1, maximum=30, timeout=15 * 60)
"""Ten minutes without storage must not lose a run."""


class NotAFaultError(Exception):
    """Raised by a request to end the asking: what came is an answer, though no result."""


class DamagedError(Exception):
    """The answer is not the content of the store, or not from the store."""


@dataclass(frozen=True)
class Service:
    """What asking needs to know of a service.

    Attributes:
        name: Its name in messages.
        is_transient: Tells whether a retry may help at a fault.
        is_damage: Tells whether something changed the data on its way; that is transient too, for a few times.
        plain: Returns the innermost cause of a fault in one line.
        refusal: Returns the message for a fault that only a person can mend, by the URI that was asked for; None if the
            fault is not of the service.
        way_out: Returns what mends a fault that did not pass.
    """

    name: str
    is_transient: Callable[[BaseException], bool]
    is_damage: Callable[[BaseException], bool]
    plain: Callable[[BaseException], str]
    refusal: Callable[[str, Exception], UserError | None]
    way_out: Callable[[Exception], str] = lambda _: "check the network"


def ask(service: Service, uri: str, request: Callable[[], T], patience: float | None = None) -> T:
    """Make a request until it is answered, and log long delays.

    Args:
        service: What is asked.
        uri: What it is asked for, for messages.
        request: Makes the request, once.
        patience: The seconds for which it is asked again, instead of the usual ones.

    Raises:
        UnavailableError: It does not answer, or damages what it sends.
        UserError: It refuses the request.
    """
    timeout, longest, damaged = RETRY.timeout if patience is None else patience, RETRY.initial, 0
    ends, faults = time.monotonic() + timeout, list[Exception]()
    with _announced(service, uri, faults) as since:
        while True:
            try:
                return within(min(ATTEMPT, max(1, ends - time.monotonic())), request)
            except (UserError, NotAFaultError):
                raise
            except Exception as fault:
                faults.append(fault)
                damaged += service.is_damage(fault)
                pause, longest = longest * random.random(), min(RETRY.maximum, 2 * longest)  # noqa: S311
                may_pass = damaged < MAX_DAMAGED and service.is_transient(fault)
                if not may_pass or time.monotonic() + pause > ends:
                    said = _given_up(service, uri, fault, f"{since:%H:%M:%S} UTC")
                    if said is None:
                        raise
                    raise said from None
            time.sleep(pause)


def within(seconds: float, request: Callable[[], T]) -> T:
    """Return the result of a request, or give it up after a time.

    The timeouts of sockets bound only the pause between two bytes: an answer of one byte a second, a hanging name
    server and a slow handshake are not bounded otherwise. The thread is a daemon, so it does not keep the process
    alive.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(request())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, name="storage", daemon=True).start()
    try:
        return outcome.result(seconds)
    except TimeoutError:
        if outcome.done():
            raise
        raise TimeoutError(f"no whole answer within {seconds:.0f} seconds") from None


@contextlib.contextmanager
def _announced(service: Service, uri: str, faults: list[Exception]) -> Iterator[datetime]:
    """Log that storage does not answer, after ten seconds and then once a minute; yield the time at which it began."""
    since, done = datetime.now(UTC), threading.Event()

    def tell() -> None:
        pause = FIRST_WORD
        while not done.wait(pause):
            why = f" ({service.plain(faults[-1])})" if faults else ""
            logger.warning(
                "%s: no answer from %s since %s UTC%s; still trying", uri, service.name, f"{since:%H:%M:%S}", why
            )
            pause = NEXT_WORD

    threading.Thread(target=tell, name="storage wait", daemon=True).start()
    try:
        yield since
    finally:
        done.set()


def _given_up(service: Service, uri: str, fault: Exception, since: str) -> UserError | None:
    """Return the message for a fault at which the asking ends; None if it is not a fault of storage."""
    if service.is_damage(fault):
        return UnavailableError(
            f"{uri}: {service.name} gave a damaged answer {MAX_DAMAGED} times ({service.plain(fault)}); check what "
            "stands between, such as a proxy or a login page, then run the same command again"
        )
    if service.is_transient(fault):
        return UnavailableError(
            f"{uri}: no answer from {service.name} since {since} ({service.plain(fault)}); {service.way_out(fault)}, "
            "then run the same command again"
        )
    return service.refusal(uri, fault)


def short(text: str | bytes) -> str:
    """Return the words of an answer in one line that a message can hold."""
    if isinstance(text, bytes):
        text = text[:2000].decode(errors="replace")
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_ANSWER else line[: LONGEST_ANSWER - 1] + "…"
