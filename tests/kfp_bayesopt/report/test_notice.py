"""A webhook is told how a study ends: what it is told, and which addresses are never called."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.report import notice
from kfp_bayesopt.report.report import write_results
from tests.builders import a_batch, a_record, a_study, write_folder
from tests.certificates import an_authority

POINT: dict[str, Any] = {"x1": 1.0, "x2": 2.0}


@pytest.fixture
def hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[Any], list[int]]]:
    """Serve a webhook with a certificate; yield its address, what it was told, and the statuses that it answers."""
    told: list[Any] = []
    statuses: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(statuses.pop() if statuses else 200)
            self.send_header("Location", "http://169.254.169.254/")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    authority = an_authority(tmp_path / "authority")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.certificate())
    httpd = HTTPServer(("127.0.0.1", 0), Handler)
    httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    monkeypatch.setattr(notice, "public_address", lambda host, _: host)
    yield f"https://127.0.0.1:{httpd.server_port}/services/T0/secret?a=1", told, statuses
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def a_folder(tmp_path: Path, **asked: Any) -> StudyFolder:
    told = {"webhook": {"from_environment": "HOOK"}, **asked}
    study = a_study(optimizer={"engine": "gp"}, objective={"python": "mine:f"}, notify=told)
    records = [a_record(study, number, number / 3, parameters=POINT) for number in (1, 2, 3, 4)]
    return write_folder(tmp_path / "out", study, a_batch(study, [POINT] * 4), records)


def test_a_chat_is_told_in_a_sentence(hook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address, told, _ = hook
    monkeypatch.setenv("HOOK", address)
    folder = a_folder(tmp_path)
    write_results(folder, folder.read(), "job-1", None)
    text = "Study branin succeeded. best value 0.333333 in trial 1; 4 of 4 trials completed, 0 failed."
    assert told == [("/services/T0/secret?a=1", {"text": text})]
    write_results(folder, folder.read(), None, None)
    assert len(told) == 1, "results that are written again are no news"


def test_a_program_is_told_the_parts(hook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address, told, _ = hook
    monkeypatch.setenv("HOOK", address)
    folder = a_folder(tmp_path, form="json")
    best = write_results(folder, folder.read(), None, None).best
    notice.notify(folder, folder.read(), best, f"no disk at {tmp_path}/out, http://10.0.0.7:80/x\nand more")
    ((_, said),) = told
    assert (said["event"], said["study"], said["trial"], said["budget"]) == ("failure", "branin", 1, 4)
    assert str(tmp_path) not in json.dumps(said)
    assert "10.0.0.7" not in json.dumps(said)


def test_only_what_is_asked_for_is_told(hook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address, told, _ = hook
    monkeypatch.setenv("HOOK", address)
    folder = a_folder(tmp_path, on=["failure"])
    write_results(folder, folder.read(), "job-1", None)
    assert told == []


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_hook_that_does_not_take_it_is_a_warning_without_its_address(
    status: int, hook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    address, told, statuses = hook
    statuses.append(status)
    monkeypatch.setenv("HOOK", address)
    folder = a_folder(tmp_path)
    write_results(folder, folder.read(), "job-1", None)
    assert len(told) == 1, "a redirect is not followed"
    (record,) = caplog.records
    assert f"it answers with status {status}" in record.getMessage()
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("", "the variable HOOK is not set here"),
        ("http://hooks.example.com/secret", "its address must be https://HOST/PATH"),
        ("https://user:secret@hooks.example.com", "its address must be https://HOST/PATH"),
        ("https://[::1/secret", "its address must be https://HOST/PATH"),
        ("https://127.0.0.1/secret", "its address is not public"),
        ("https://169.254.169.254/secret", "its address is not public"),
        ("https://metadata.google.internal/secret", "its address is not public"),
        ("https://10.1.2.3/secret", "its address is not public"),
        ("https://[::ffff:10.0.0.1]/secret", "its address is not public"),
        ("https://[fd00::1]/secret", "its address is not public"),
        ("https://two.example.com/secret", "its address is not public"),
        ("https://nowhere.example.com/secret", "the host of its address is not known"),
    ],
)
def test_an_address_that_is_not_public_is_not_called(
    address: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    known = {"metadata.google.internal": ["169.254.169.254"], "two.example.com": ["8.8.8.8", "10.0.0.1"]}
    ask = socket.getaddrinfo

    def found(host: str, port: Any, *args: Any, **options: Any) -> Any:
        if host == "nowhere.example.com":
            raise socket.gaierror
        if host in known:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in known[host]]
        return ask(host, port, *args, **options)

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("no connection is made")

    monkeypatch.setattr(socket, "getaddrinfo", found)
    monkeypatch.setattr(socket, "create_connection", never)
    monkeypatch.setenv("HOOK", address)
    folder = a_folder(tmp_path)
    write_results(folder, folder.read(), "job-1", None)
    (record,) = caplog.records
    assert said in record.getMessage()
    assert "secret" not in caplog.text


def test_an_address_is_no_text_of_a_study_file() -> None:
    with pytest.raises(UserError, match=r"notify\.webhook: whoever has the address can write there, so it is a secret"):
        a_study(notify={"webhook": "https://hooks.example.com/secret"})


def test_who_is_told_does_not_identify_a_study() -> None:
    assert a_study(notify={"webhook": {"from_environment": "HOOK"}}).fingerprint == a_study().fingerprint
