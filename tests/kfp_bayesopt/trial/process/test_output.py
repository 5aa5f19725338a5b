"""What an objective prints is kept and copied on, and neither its amount nor who else holds its pipe matters."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kfp_bayesopt.trial.process.output import Output


def printed(command: list[str], copy: io.BytesIO | None = None) -> Output:
    """Return what a program has printed."""
    output = Output(copy)
    with output.capture() as pipe:
        subprocess.run(command, stdout=pipe, stderr=pipe, check=True)
    return output


def python(code: str) -> list[str]:
    return [sys.executable, "-c", f"import os, sys\n{code}"]


@pytest.fixture
def leaving(tmp_path: Path) -> Iterator[str]:
    """Return a shell function that leaves a process behind; it is killed after the test."""
    yield f'leave() {{ setsid sh -c "$1" & echo $! > {tmp_path}/pid; }}; '
    with contextlib.suppress(ProcessLookupError):  # what prints for ever ends by itself when its pipe is gone
        os.killpg(int((tmp_path / "pid").read_text()), 9)


def test_both_streams_are_kept_in_their_order_byte_for_byte() -> None:
    copy = io.BytesIO()
    code = "os.write(1, b'caf\\xe9 \\0'); os.write(2, b'\\r\\n'); os.write(1, b'end')"
    assert printed(python(code), copy).content() == b"caf\xe9 \0\r\nend"
    assert copy.getvalue() == b"caf\xe9 \0\r\nend"


def test_nothing_is_printed() -> None:
    output = printed(["true"])
    assert (output.content(), output.last_lines()) == (b"", [])


def test_it_is_copied_while_the_program_runs(tmp_path: Path) -> None:
    with (tmp_path / "copy").open("wb") as copy:
        output = Output(copy)
        with (
            output.capture() as pipe,
            subprocess.Popen(["sh", "-c", "echo a; read line"], stdin=-1, stdout=pipe) as process,
        ):
            while (tmp_path / "copy").read_bytes() != b"a\n":
                assert process.poll() is None
                time.sleep(0.01)
            process.communicate(b"\n", timeout=10)
    assert output.content() == b"a\n"


def test_10_mb_are_kept_whole() -> None:
    assert printed(["head", "-c", "10000000", "/dev/zero"]).content() == bytes(10_000_000)


def test_of_100_mb_without_a_newline_beginning_and_end_are_kept() -> None:
    content = printed(
        python("os.write(1, b'a')\nfor _ in range(100): sys.stdout.write('x' * 1_000_000)\nprint('b')")
    ).content()
    assert content[:2] == b"ax"
    assert content[-2:] == b"b\n"
    first, between, last = content.split(b"\n", 2)
    assert between == b"[90,000,003 bytes are left out here]"
    assert (len(first), len(last)) == (1_000_000, 9_000_000)


def test_a_million_short_lines_are_quick() -> None:
    started = time.process_time()
    assert printed(["seq", "1000000"]).last_lines() == [str(line) for line in range(999_981, 1_000_001)]
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("output", "lines"),
    [
        (b"a\n\n \nb", ["a", "b"]),
        (b"5%\r10%\r\nend\n", ["10%", "end"]),
        (b"\x1b[31mred\x1b[0m\0\x08\n", [r"\x1b[31mred\x1b[0m\x00\x08"]),
        (b"caf\xe9 \xff", ["caf\ufffd \ufffd"]),
        ("\u00e9 \u640d \u2028 \u202e\ttab".encode(), ["\u00e9 \u640d \\u2028 \\u202e\ttab"]),
        (b"x" * 2000 + b"\ny", ["x" * 1000, "y"]),
        (b"\0" * 2000, [r"\x00" * 250]),
        (b"a\n" + b"z" * 1_000_000 + b"\nb", ["z" * 1000, "b"]),
    ],
)
def test_the_last_lines_can_be_shown(tmp_path: Path, output: bytes, lines: list[str]) -> None:
    (tmp_path / "output").write_bytes(output)
    assert printed(["cat", str(tmp_path / "output")]).last_lines() == lines


@pytest.mark.timeout(120)
@pytest.mark.parametrize("left", ["sleep 600", "while :; do echo noise; done", "yes"])
def test_a_process_that_is_left_holds_up_nothing(leaving: str, left: str) -> None:
    assert printed(["sh", "-c", f"echo first; {leaving}leave '{left}'"]).content().startswith(b"first\n")


def test_a_copy_that_nobody_reads_any_more_ends_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb", buffering=0) as copy:
        output = Output(copy)
        with output.capture() as pipe:
            subprocess.run(["seq", "100000"], stdout=pipe, check=True)
    assert output.content().endswith(b"\n100000\n")


def test_a_disk_that_is_full_ends_nothing() -> None:
    with Path("/dev/full").open("wb", buffering=0) as copy:
        output = Output(copy)
        with output.capture() as pipe:
            subprocess.run(["seq", "100000"], stdout=pipe, check=True)
    assert output.content().endswith(b"\n100000\n")


def test_a_reader_of_the_copy_that_sleeps_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kfp_bayesopt.trial.process.output.PATIENCE", 0.2)
    before = threading.active_count()
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb", buffering=0) as copy:
        output = Output(copy)
        with output.capture() as pipe:
            program = subprocess.Popen(["yes"], stdout=pipe)
            time.sleep(0.2)
            program.kill()
            program.wait()
        assert output.content().startswith(b"y\ny\n")
        assert threading.active_count() == before + 1
        os.close(reader)
        while threading.active_count() > before:
            time.sleep(0.01)
