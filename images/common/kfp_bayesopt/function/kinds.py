"""What no function takes along: what is open, runs or waits in one process, and the way out of each."""

from __future__ import annotations

import io
import sys
from weakref import WeakKeyDictionary

_INSIDE = "open it inside of the function, which runs in other processes"

# The types by module and name, so that none is imported for the sake of this list.
_KINDS: tuple[tuple[str, str, str], ...] = (
    ("a generator", "take a list, or make it inside of the function", "types.GeneratorType types.AsyncGeneratorType"),
    ("a coroutine", "call it with asyncio.run inside of the function", "types.CoroutineType asyncio.Future"),
    ("a socket", _INSIDE, "socket.socket"),
    (
        "a lock",
        "make it inside of the function: trials are processes of their own, and share none",
        "_thread.LockType _thread.RLock threading.Condition threading.Event threading.Semaphore threading.Barrier "
        "multiprocessing.synchronize.SemLock",
    ),
    ("a thread", "start it inside of the function", "threading.Thread"),
    ("a process", "start it inside of the function", "subprocess.Popen multiprocessing.process.BaseProcess"),
    (
        "a pool of workers",
        "make it inside of the function",
        "concurrent.futures.Executor concurrent.futures.Future multiprocessing.pool.Pool",
    ),
    ("a queue", "make it inside of the function", "multiprocessing.queues.Queue queue.Queue queue.SimpleQueue"),
    (
        "a database connection",
        _INSIDE,
        "sqlite3.Connection sqlite3.Cursor sqlalchemy.engine.Engine sqlalchemy.engine.Connection "
        "sqlalchemy.orm.Session psycopg2.extensions.connection psycopg.Connection pymysql.connections.Connection "
        "duckdb.DuckDBPyConnection pymongo.MongoClient redis.Redis",
    ),
    ("an event loop", "make it inside of the function", "asyncio.AbstractEventLoop"),
    ("a mapped file", _INSIDE, "mmap.mmap"),
    ("a temporary folder", "make it inside of the function", "tempfile.TemporaryDirectory"),
    ("an open file", _INSIDE, "tempfile._TemporaryFileWrapper"),
    (
        "the notebook itself, as in %magic or get_ipython()",
        "leave it out: trials run in no notebook",
        "IPython.core.interactiveshell.InteractiveShell",
    ),
)
_FOUND: WeakKeyDictionary[type, str | None] = WeakKeyDictionary()  # a cell that is run again makes new types


def problem_of(kind: type) -> str | None:
    """Return what values of a type are, and the way out; None if nothing is known against taking them along."""
    if kind not in _FOUND:
        _FOUND[kind] = _find(kind)
    return _FOUND[kind]


def _find(kind: type) -> str | None:
    if issubclass(kind, io.IOBase) and not issubclass(kind, io.BytesIO | io.StringIO):
        return f"an open file; {_INSIDE}"
    for shown, way_out, types in _KINDS:
        if any(found is not None and issubclass(kind, found) for found in map(_type, types.split())):
            return f"{shown}; {way_out}"
    return None


def _type(name: str) -> type | None:
    module, _, attribute = name.rpartition(".")
    found = getattr(sys.modules.get(module), attribute, None)
    return found if isinstance(found, type) else None
