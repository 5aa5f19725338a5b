"""The live report: what it serves, to whom, and that it follows a study."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser

from kfp_bayesopt.cli.commands.report_commands import watch
from kfp_bayesopt.cli.views import view_for
from kfp_bayesopt.errors import UnavailableError, UserError
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.session import watching
from kfp_bayesopt.session.watching import Server
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt_pipeline.places import in_process as local
from tests.browser import Watched
from tests.builders import a_batch, a_record, a_study, study_text, write_folder, write_study

STUDY = a_study()
POINTS: list[Parameters] = [{"x1": float(number), "x2": 2.0} for number in range(4)]


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    """Return a study of 4 trials of which one has ended."""
    records = [a_record(STUDY, 1, 0.5, parameters=POINTS[0])]
    found = write_folder(tmp_path / "out", STUDY, a_batch(STUDY, POINTS), records)
    found.write_study(study_text())
    return found


@pytest.fixture
def server(folder: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(watching, "SECONDS_BETWEEN_LOOKS", 0.05)
    with watching.watching(folder) as found:
        yield found
        found.asked = 0.0


class Answer:
    """What a server answered."""

    def __init__(self, server: Server, method: str, path: str, headers: dict[str, str]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        connection.putrequest(method, path, skip_host=True)
        for name, value in {"Host": f"127.0.0.1:{server.server_port}", **headers}.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        self.status, self.headers, self.content = answer.status, dict(answer.getheaders()), answer.read()
        connection.close()


def ask(server: Server, path: str, method: str = "GET", **headers: str) -> Answer:
    return Answer(server, method, path, headers)


def allowed(server: Server) -> dict[str, str]:
    """Return the header of a browser that has opened the address."""
    entered = ask(server, f"/?token={server.token}")
    assert (entered.status, entered.headers["Location"]) == (303, "/")
    cookie = entered.headers["Set-Cookie"]
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")
    return {"Cookie": cookie.partition(";")[0]}


def trials(answer: Answer) -> list[int]:
    found: dict[str, Any] = json.loads(gzip.decompress(answer.content))
    return list(found["trials"]["number"])


def wait_for(server: Server, count: int) -> Answer:
    known = allowed(server)
    for _ in range(400):
        answer = ask(server, "/contents", **known)
        if len(trials(answer)) == count:
            return answer
        threading.Event().wait(0.05)
    raise AssertionError(f"{count} trials never came")


def test_whoever_has_the_token_sees_the_page_and_what_is_new(server: Server, folder: StudyFolder) -> None:
    known = allowed(server)
    page = ask(server, "/", **known)
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"connect-src &#x27;self&#x27;" in page.content
    answer = ask(server, "/contents", **known)
    assert trials(answer) == [1]
    same = ask(server, "/contents", **known, **{"If-None-Match": answer.headers["ETag"]})
    assert (same.status, same.content) == (304, b"")
    folder.write_record(a_record(STUDY, 2, 0.25, parameters=POINTS[1]))
    assert trials(wait_for(server, 2)) == [1, 2]


@pytest.mark.parametrize("path", ["/", "/contents", "/trials.jsonl", "/../../etc/passwd", "//", "/?x=1"])
def test_without_the_token_there_is_nothing(server: Server, path: str) -> None:
    for cookie in ("", f"{server.cookie}=wrong", f"kfp-bayesopt-1={server.token}", "\x01;=;"):
        answer = ask(server, path, Cookie=cookie)
        assert (answer.status, answer.content) == (403, b"open the address that the terminal shows, with its token\n")
    assert ask(server, "/?token=wrong").status == 403
    assert ask(server, "/?token=%E2%9C%93").status == 403


def test_a_browser_is_given_a_ticket_for_one_use_and_never_the_token(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = server.address_for_one_use()
    assert server.token not in address
    path = address.removeprefix(f"http://127.0.0.1:{server.server_port}")
    first, second = ask(server, path), ask(server, path)
    assert (first.status, second.status) == (303, 403)
    assert second.content == b"wrong token, or one that was used; open the one of the terminal\n"
    cookie = first.headers["Set-Cookie"].partition(";")[0]
    assert server.token not in cookie
    assert trials(ask(server, "/contents", Cookie=cookie)) == [1]
    assert ask(server, path).status == 403, "it is for one use, whoever has the cookie"

    late = server.address_for_one_use().partition("/?")[2]
    monkeypatch.setattr("kfp_bayesopt.session.watching.time.monotonic", lambda: 1e12)
    assert ask(server, f"/?{late}").status == 403


def test_watch_gives_the_browser_another_address_than_the_terminal(
    folder: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def open_and_end(address: str) -> None:
        opened.append(address)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("webbrowser.open", open_and_end)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        result = CliRunner().invoke(watch, [str(write_study(tmp_path)), "--out", folder.root, "--open"])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    (given,) = opened
    assert "/?token=" in given
    assert "/?token=" in result.output
    assert given not in result.output


def test_a_ticket_is_of_no_use_to_another_user(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/?" + server.address_for_one_use().partition("/?")[2]
    monkeypatch.setattr(watching, "is_of_us", lambda *_: False)
    assert ask(server, path).status == 403
    monkeypatch.undo()
    assert ask(server, path).status == 303, "it was not used up"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "", "localhost:1"])
def test_a_page_of_somebody_elses_name_gets_nothing(server: Server, host: str) -> None:
    assert ask(server, "/", **allowed(server), Host=host).status == 421


@pytest.mark.parametrize("path", ["/study/study.yaml", "/best.json", "/contents/", "/.lock", "/%2e%2e/x"])
def test_only_listed_names_are_served(server: Server, path: str) -> None:
    assert ask(server, path, **allowed(server)).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_nothing_but_get_is_answered(server: Server, method: str) -> None:
    assert ask(server, "/", method, **allowed(server)).status == 501


def test_no_other_site_may_read_or_frame_it(server: Server) -> None:
    headers = ask(server, "/contents", **allowed(server), Origin="https://evil.example").headers
    assert not [name for name in headers if name.lower().startswith("access-control")]
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"


def test_two_people_watch_at_once(server: Server, folder: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "SECONDS_OF_A_LOOK", 0.0)
    with watching.watching(folder) as other:
        assert trials(ask(other, "/contents", **allowed(other))) == trials(ask(server, "/contents", **allowed(server)))
        assert ask(other, "/", **allowed(server)).status == 403


def test_a_port_that_is_taken_is_refused(server: Server) -> None:
    with pytest.raises(UserError, match=rf"^port {server.server_port}: Address already in use; give another PORT, or"):
        Server(server.live, server.server_port)


def test_storage_that_refuses_leaves_what_was_there_and_says_why(
    server: Server, folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = allowed(server)

    def refuse(*_: object) -> None:
        raise UnavailableError("gs://bucket: 403, access denied")

    monkeypatch.setattr(server.live._activity, "look", refuse)
    found: dict[str, Any] = {}
    for _ in range(200):
        found = json.loads(gzip.decompress(ask(server, "/contents", **known).content))
        if "problem" in found:
            break
        threading.Event().wait(0.05)
    assert found["problem"] == "gs://bucket: 403, access denied"
    assert found["trials"]["number"] == [1]
    monkeypatch.undo()
    folder.write_record(a_record(STUDY, 2, 0.25, parameters=POINTS[1]))
    assert "problem" not in json.loads(gzip.decompress(wait_for(server, 2).content))


def test_a_ledger_that_grows_while_it_is_read_is_shown_in_the_end(server: Server, folder: StudyFolder) -> None:
    known = allowed(server)

    def grow() -> None:
        for number in (2, 3, 4):
            folder.write_record(a_record(STUDY, number, 1.0 / number, parameters=POINTS[number - 1]))

    writer = threading.Thread(target=grow)
    writer.start()
    for _ in range(20):
        assert ask(server, "/contents", **known).status == 200
    writer.join()
    wait_for(server, 4)


def test_the_folder_of_another_study_is_refused(folder: StudyFolder, tmp_path: Path) -> None:
    other = write_study(tmp_path, objective={"python": "a:b"})
    result = CliRunner().invoke(watch, [str(other), "--out", folder.root])
    assert result.exit_code == 1
    assert "holds another study" in result.output


def test_a_browser_shows_new_trials_without_loading_the_page_again(
    browser: Browser, server: Server, folder: StudyFolder
) -> None:
    found = Watched(browser.new_page())
    tab = found.open(server.url)
    assert tab.url == f"http://127.0.0.1:{server.server_port}/"
    tab.evaluate("window.mark = 1")
    folder.write_record(a_record(STUDY, 2, 0.25, parameters=POINTS[1]))
    tab.wait_for_selector("main[data-drawn='2']", timeout=20_000)
    assert "0.25" in tab.inner_text("header")
    assert tab.evaluate("window.mark") == 1
    assert "live, looked at" in tab.inner_text("header")
    assert [each for each in found.complaints if "favicon" not in each] == []
    tab.close()


def test_a_run_can_be_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(watching, "SECONDS_OF_A_LOOK", 0.0)
    path = write_study(tmp_path, code="def objective(x1, x2):\n    return x1\n")
    local.run(str(path), str(tmp_path / "out"), 2, local.Options(watch=True), view_for())
    assert "watch it at http://127.0.0.1:" in capsys.readouterr().out
