"""The server: who may, what it says and keeps quiet, and that answers arrive as they were given."""

from __future__ import annotations

import json
import sqlite3
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the server needs: pip install 'fullband[web]'")

from click.testing import CliRunner

from fullband.cli import main
from fullband.listening import server
from fullband.listening.order import trials_of
from fullband.listening.session import read_session
from fullband.listening.store import Answers
from fullband.web.access import Access
from fullband.web.serving import listen

PAGE = ("index.html", "page.css", "page.js", "player.js")


class Reply:
    """What came back: status, headers and bytes."""

    def __init__(self, response) -> None:
        self.status, self.headers, self.content = response.status, response.headers, response.read()

    @property
    def told(self):
        return json.loads(self.content)


def ask(address: str, body=None, **headers) -> Reply:
    data = None if body is None else json.dumps(body).encode()
    if data is not None:
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(address, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return Reply(response)
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error)


def begin(address: str, code: str = "anna") -> Reply:
    return ask(f"{address}/v1/listeners", {"code": code, "agrees": True})


def rated(*scores: int) -> dict:
    return {"scores": scores, "heard_s": [2.5] * len(scores), "trial_s": 40.0}


def test_a_mushra_test_from_beginning_to_end(made, serving):
    folder = made("mushra")
    session = read_session(folder)
    with serving(folder) as address:
        assert ask(f"{address}/v1/session").told["trials"] == 2
        due = begin(address).told
        for number, trial in enumerate(trials_of(session, "anna"), start=1):
            assert (due["trial"], due["done"], due["trials"]) == (number, number - 1, 2)
            assert due["stimuli"] == 6
            assert due["duration_s"] == 0.6
            for place, name in enumerate(trial.stimuli):
                path = f"{address}/v1/listeners/anna/trials/{number}/stimuli/{place}"
                expected = (folder / session.items[trial.item].files[name]).read_bytes()
                assert ask(path).content == expected
            scores = [10 * number + place for place in range(5)]
            due = ask(f"{address}/v1/listeners/anna/trials/{number}", rated(*scores)).told
        assert due == {"listener": "anna", "done": 2, "trials": 2, "trial": None}
    rows = Answers(folder).ratings()
    assert len(rows) == 10
    for number, trial in enumerate(trials_of(session, "anna"), start=1):
        for place, name in enumerate(trial.stimuli[1:]):
            (row,) = [r for r in rows if r["trial"] == trial.key and r["stimulus"] == name]
            assert row["score"] == 10 * number + place
            assert row["place"] == place + 1
            assert row["item"] == session.items[trial.item].name


def test_an_abx_test_stores_what_was_chosen_by_name(made, serving):
    folder = made("abx", pairs=[("clear", "matt")])
    session = read_session(folder)
    with serving(folder) as address:
        begin(address)
        for number in (1, 2):
            answer = {"chosen": number - 1, "confidence": 2, "trial_s": 8.0}
            due = ask(f"{address}/v1/listeners/anna/trials/{number}", answer).told
        assert due["trial"] is None
    rows = {row["trial"]: row for row in Answers(folder).choices()}
    for number, trial in enumerate(trials_of(session, "anna")):
        row = rows[trial.key]
        assert (row["a"], row["b"], row["x"]) == trial.stimuli
        assert row["chosen"] == trial.stimuli[number]


@pytest.mark.parametrize("kind", ["mushra", "abx"])
def test_nothing_that_leaves_the_server_names_a_stimulus(made, serving, kind):
    folder = made(kind, seed=987_654_321)
    session = read_session(folder)
    answer = rated(1, 2, 3, 4, 5)
    if kind == "abx":
        answer = {"chosen": 0, "confidence": 1, "trial_s": 1}
    with serving(folder) as address:
        fixed = {name: ask(f"{address}/{name.removeprefix('index.html')}") for name in PAGE}
        replies = [
            ask(f"{address}/v1/session"),
            begin(address),
            ask(f"{address}/v1/listeners/anna"),
            ask(f"{address}/v1/listeners/anna/trials/1", answer),
        ]
        sounds = [
            ask(f"{address}/v1/listeners/anna/trials/2/stimuli/{place}") for place in range(3)
        ]
    for name, reply in fixed.items():  # the same whatever the test
        assert reply.content == (Path(server.__file__).parent / "page_files" / name).read_bytes()
    for reply in replies:
        assert reply.status == 200
        said = f"{reply.headers}{reply.content.decode()}"
        assert str(session.seed) not in said
        for word in (*session.systems, "anchor", "oboe", "flute", ".wav", str(folder)):
            assert word not in said
    headers = [{k: v for k, v in sound.headers.items() if k != "date"} for sound in sounds]
    assert headers[0] == headers[1] == headers[2]
    assert not {"etag", "last-modified"} & set(headers[0])


def test_the_page_may_do_nothing_but_what_it_does(made, serving):
    with serving(made("mushra")) as address:
        for path in ("/", "/page.js", "/v1/session", "/nothing"):
            headers = ask(address + path).headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-store"
        assert ask(f"{address}/openapi.json").status == 404
        assert ask(f"{address}/session.json").status == 404
        page = ask(f"{address}/").content.decode()
    assert "http" not in page.replace("http-equiv", "")  # nothing from elsewhere
    assert "style=" not in page


def test_a_second_answer_changes_nothing_and_a_restart_loses_nothing(made, serving):
    folder = made("mushra")
    with serving(folder) as address:
        begin(address)
        path = f"{address}/v1/listeners/anna/trials/1"
        first = ask(path, rated(1, 2, 3, 4, 5)).told
        assert ask(path, rated(9, 9, 9, 9, 9)).told == first
    with serving(folder) as address:
        due = begin(address, "  ANNA ").told
        assert due == first
        assert due["trial"] == 2
    assert sorted(row["score"] for row in Answers(folder).ratings()) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("listeners", {"code": "", "agrees": True}, 400),
        ("listeners", {"code": "a/b", "agrees": True}, 400),
        ("listeners", {"code": "a" * 41, "agrees": True}, 400),
        ("listeners", {"code": "ben", "agrees": False}, 400),
        ("listeners", {"code": "ben"}, 422),
        ("listeners", {"code": "a" * 20_000, "agrees": True}, 413),
        ("listeners/anna/trials/1", rated(1, 2, 3, 4), 400),
        ("listeners/anna/trials/1", rated(1, 2, 3, 4, 101), 422),
        ("listeners/anna/trials/1", rated(1, 2, 3, 4, -1), 422),
        ("listeners/anna/trials/1", {**rated(1, 2, 3, 4, 5), "trial_s": float("nan")}, 422),
        ("listeners/anna/trials/1", {**rated(1, 2, 3, 4, 5), "heard_s": [1]}, 400),
        ("listeners/anna/trials/3", rated(1, 2, 3, 4, 5), 404),
        ("listeners/anna/trials/0", rated(1, 2, 3, 4, 5), 404),
        ("listeners/ben/trials/1", rated(1, 2, 3, 4, 5), 404),
        ("listeners/anna/trials/1/stimuli/6", None, 404),
        ("listeners/anna/trials/1/stimuli/-1", None, 404),
        ("listeners/anna/trials/9/stimuli/0", None, 404),
        ("listeners/%2e%2e%2f/trials/1/stimuli/0", None, 404),
    ],
)
def test_answers_that_cannot_be_are_refused(made, serving, path, body, status):
    folder = made("mushra")
    with serving(folder) as address:
        begin(address)
        reply = ask(f"{address}/v1/{path}", body)
        assert reply.status == status
        assert "detail" in reply.told
    assert Answers(folder).ratings() == []
    assert Answers(folder).listeners() == ["anna"]


def test_a_token_is_asked_of_everything_but_the_empty_page(made, serving):
    with serving(made("abx"), Access(token="secret")) as address:
        assert ask(f"{address}/").status == 200
        for path in ("session", "listeners/anna", "listeners/anna/trials/1/stimuli/0"):
            assert ask(f"{address}/v1/{path}").status == 403
            assert ask(f"{address}/v1/{path}", Authorization="Bearer guess").status == 403
            assert ask(f"{address}/v1/{path}", Authorization="Bearer secret").status == 200
        assert begin(address).status == 403


def test_other_sites_pages_are_refused(made, serving):
    with serving(made("abx")) as address:
        body = {"code": "anna", "agrees": True}
        path = f"{address}/v1/listeners"
        assert ask(path, body, Origin="https://elsewhere.example").status == 403
        assert ask(path, body, Origin=address).status == 200


def test_a_disk_that_fails_is_said_without_its_path(made, serving):
    folder = made("mushra")
    with serving(folder) as address:
        with sqlite3.connect(folder / "answers.sqlite3") as database:
            database.execute("DROP TABLE listeners")
        database.close()
        reply = begin(address)
    assert reply.status == 500
    assert reply.told == {"detail": "the answers cannot be reached"}


def test_the_command_refuses_in_a_line(made, tmp_path):
    folder = str(made("abx"))
    result = CliRunner().invoke(main, ["listen", "serve", folder, "--host", "0.0.0.0"])
    assert result.exit_code == 1
    assert "give a --token" in result.output
    result = CliRunner().invoke(main, ["listen", "serve", str(tmp_path)])
    assert result.exit_code == 1
    assert "holds no listening test" in result.output
    with listen("127.0.0.1", 0) as taken:
        taken.listen()
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(main, ["listen", "serve", folder, "--port", port])
    assert result.exit_code == 1
    assert "cannot listen there" in result.output
