"""Requests to a running desk: who may send them, what is refused, and jobs from start to end."""

import io
import os
import signal
import socket
import time
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from cmss.desk.jobs import Job
from tests.support.running_desk import (
    RunningDesk,
    is_alive,
    music,
    order,
    quoted,
    write_music,
)

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

MOST_BYTES = 2_000_000


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A desk that accepts 2 MB."""
    with RunningDesk(
        tmp_path_factory.mktemp("desk"), "--separator", "split", "--max-mb", "2"
    ) as running:
        yield running


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> bytes:
    return write_music(tmp_path_factory.mktemp("sound") / "a.wav").read_bytes()


@pytest.fixture
def sleeping_desk(tmp_path):
    with RunningDesk(tmp_path, "--separator", "sleeping") as running:
        yield running


def files_in(desk: RunningDesk) -> list[str]:
    """Every file and folder of the desk, except for stems that are kept."""
    found = (path.relative_to(desk.results).as_posix() for path in desk.results.rglob("*"))
    return sorted(path for path in found if not path.startswith("kept_stems"))


# Who may send requests.

READ, CHANGE = [("GET", "/"), ("GET", "/job"), ("GET", "/results")], [("POST", order())]
CHANGE += [("DELETE", "/job")]
FOREIGN_HOSTS = ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "",
                 "localhost.evil.example:{port}", "127.0.0.1:{port}.evil.example"]  # fmt: skip
FOREIGN_ORIGINS = ["http://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:1", "",
                   "https://127.0.0.1:{port}", "http://127.0.0.1:{port}.evil.example"]  # fmt: skip


@pytest.mark.parametrize(("request_", "host"), [*product(READ + CHANGE, FOREIGN_HOSTS)])
def test_foreign_hosts_are_refused(desk, request_, host):
    status, answer = desk.ask(*request_, Host=host.format(port=desk.port))
    assert (status, answer) == (403, {"problems": ["Host: expected the address of the desk"]})


@pytest.mark.parametrize(("request_", "origin"), [*product(READ + CHANGE, FOREIGN_ORIGINS)])
def test_foreign_origins_are_refused(desk, request_, origin):
    status, answer = desk.ask(*request_, Origin=origin.format(port=desk.port))
    assert (status, answer) == (403, {"problems": ["Origin: expected a page of the desk"]})
    assert desk.ask("GET", "/job")[1]["state"] != "running"


@pytest.mark.parametrize("request_", CHANGE, ids=str)
def test_changes_need_an_origin(desk, request_):
    assert desk.ask(*request_, Origin=None)[0] == 403


@pytest.mark.parametrize("request_", READ, ids=str)
def test_own_pages_and_links_may_read(desk, request_):
    assert desk.ask(*request_, Origin=None)[0] == 200
    local = f"localhost:{desk.port}"
    assert desk.ask(*request_, Host=local, Origin=f"http://{local}")[0] == 200


def test_no_page_of_another_site_may_read_or_embed_answers(desk):
    for path in ("/", "/job", "/assets/desk.js", "/nothing"):
        _, headers, _ = desk.ask_fully("GET", path)
        assert not [name for name in headers if name.lower().startswith("access-control")]
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["X-Content-Type-Options"] == "nosniff"
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy


def test_only_this_computer_reaches_the_desk(desk):
    # 127.0.0.2 is another address of this computer, at which other programs may listen.
    with socket.socket() as other:
        other.settimeout(2)
        assert other.connect_ex(("127.0.0.2", desk.port)) != 0


# What is refused.


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"title": ""}, "title: expected"),
        ({"players": {"Violin": 1}}, "players: expected 2 to 5 players, got 1"),
        ({"players": {"Violin": 3, "Viola": 3}}, "players: expected 2 to 5 players, got 6"),
        ({"players": {"Violin": True, "Viola": 1}}, "players: Violin: expected a number"),
        ({"players": {"Violin": -1, "Viola": 3}}, "players: Violin: expected a number"),
        ({"players": {"Kazoo": 1, "Viola": 2}}, "got Kazoo"),
        ({"players": ["Violin", "Viola"]}, "players: expected the number"),
        ({"left": [20] * 6}, "left ear: expected hearing levels at 250, 500, 1000, 2000, 3000"),
        ({"left": "20202020"}, "left ear: expected numbers"),
        ({"right": [20] * 7 + [None]}, "right ear: expected numbers"),
        ({"right": [20] * 7 + [200]}, "right ear: expected -20 to 130 dB HL"),
        ({"right": [20] * 7 + [float("nan")]}, "right ear: expected -20 to 130 dB HL"),
        ({"quality": "great"}, "quality: expected best or fast"),
        ({"quality": ["best"]}, "quality: expected best or fast"),
    ],
    ids=str,
)
def test_orders_that_cannot_be_used(desk, recording, changed, expected):
    status, answer = desk.ask("POST", order(**changed), recording)
    assert status == 400
    assert expected in answer["problems"][0]
    assert files_in(desk) == []


def test_an_order_names_all_problems_at_once(desk):
    status, answer = desk.ask("POST", quoted({}), b"")
    assert status == 400
    assert [line.split(":")[0] for line in answer["problems"]] == [
        "title", "players", "left ear", "right ear", "quality"]  # fmt: skip
    assert desk.ask("POST", "/job?order={", b"")[1]["problems"][0].startswith("order: malformed")
    assert desk.ask("POST", "/job", b"")[0] == 400


def sound(
    seconds: float = 1.0, channels: int = 2, rate_hz: int = 44100, level: float = 0.1
) -> bytes:
    buffer = io.BytesIO()
    shape = (round(seconds * rate_hz), channels)
    samples = level * np.random.default_rng(1).uniform(-1, 1, shape)
    soundfile.write(buffer, samples, rate_hz, format="FLAC")
    return buffer.getvalue()


WRONG_FILES = {
    "text": (b"a letter, and no sound", "a.wav: "),
    "empty": (b"", "a.wav: "),
    "cut": (sound()[:30000], "a.wav: "),
    "surround": (sound(channels=6), "a.wav: 6 channels, expected 1 or 2"),
    "short": (sound(0.1), "a.wav: too short"),
    "slow": (sound(rate_hz=900), "a.wav: sampling rate"),
    "long": (sound(601, 1, 8000, level=0), "a.wav: lasts 601 s, expected at most 600 s"),
}


@pytest.mark.parametrize("name", WRONG_FILES)
def test_files_that_are_no_usable_sound(desk, name):
    content, expected = WRONG_FILES[name]
    status, answer = desk.ask("POST", order(), content)
    (line,) = answer["problems"]
    assert status == 400
    assert line.startswith(expected)
    assert str(desk.results) not in line
    assert files_in(desk) == []


def test_a_silent_recording_is_named_by_its_title(desk):
    silence = io.BytesIO()
    soundfile.write(silence, np.zeros(44100), 44100, format="WAV")
    assert desk.ask("POST", order(title="Übung.wav"), silence.getvalue())[0] == 202
    job = desk.finished()
    assert job["state"] == "failed"
    assert job["problems"] == ["Übung.wav: silent, or too soft to have a loudness"]
    assert files_in(desk) == []


def test_large_recordings_are_refused_by_their_stated_length(desk):
    # The body does not arrive: the length alone is sufficient.
    status, answer = desk.ask("POST", order(), Content_Length=str(MOST_BYTES + 1))
    assert (status, answer["problems"]) == (
        413,
        ["a.wav: expected at most 2 MB; raise the limit with --max-mb"],
    )


def test_large_recordings_are_refused_while_they_arrive(desk):
    # In chunks, without a stated length.
    chunk = b"x" * 65536
    body = b"%x\r\n%b\r\n" % (len(chunk), chunk)
    with socket.create_connection(("127.0.0.1", desk.port), timeout=20) as sent:
        head = (f"POST {order()} HTTP/1.1\r\nHost: 127.0.0.1:{desk.port}\r\nOrigin: {desk.url}\r\n"
                "Transfer-Encoding: chunked\r\n\r\n")  # fmt: skip
        sent.sendall(head.encode())
        largest = 0
        try:
            for _ in range(200):  # 13 MB, of which 2 MB are accepted
                sent.sendall(body)
                unfinished = list(desk.results.rglob("recording.wav"))
                sizes = [path.stat().st_size for path in unfinished if path.exists()]
                largest = max([largest, *sizes])
        except OSError:
            pass  # The desk has closed the connection.
        else:
            assert sent.recv(100).startswith(b"HTTP/1.1 413 ")
    assert largest <= MOST_BYTES
    assert desk.finished()["state"] == "failed"
    assert files_in(desk) == []


def test_an_upload_that_breaks_off_leaves_nothing(desk):
    with socket.create_connection(("127.0.0.1", desk.port), timeout=20) as sent:
        head = (f"POST {order()} HTTP/1.1\r\nHost: 127.0.0.1:{desk.port}\r\nOrigin: {desk.url}\r\n"
                "Content-Length: 100000\r\n\r\n")  # fmt: skip
        sent.sendall(head.encode() + b"RIFF")
        desk.job_that(lambda job: job["state"] == "running")
        assert files_in(desk) != []
    assert desk.finished()["state"] == "failed"
    assert files_in(desk) == []


# Jobs.


def test_a_recording_becomes_a_page_and_stems(desk, recording):
    title = "../../<img src=x onerror=alert(1)>.wav"
    status, job = desk.ask("POST", order(title=title), recording)
    assert (status, job["state"], job["title"]) == (202, "running", title)
    job = desk.finished()
    assert (job["state"], job["fraction"], job["problems"]) == ("done", 1.0, [])
    (result,) = desk.ask("GET", "/results")[1]
    assert result["name"] == job["result"]
    assert result["title"] == title
    assert result["players"] == ["Cello", "Violin"]
    assert result["seconds"] == 2
    assert result["hearing"] == "me"
    base = f"/results/{result['name']}"
    # Only the result is in the folder: neither the recording nor a name from the upload.
    assert {path.name for path in (desk.results / result["name"]).rglob("*.*")} == {
        "index.html", "result.json", "Cello.flac", "Violin.flac", "mixture.flac"}  # fmt: skip
    status, headers, page = desk.ask_fully("GET", f"{base}/index.html")
    assert status == 200
    assert b"<img" not in page
    assert b"listener me" in page
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    # The stems add up to the mixture, which is the recording at another level.
    signals = {}
    for file in result["files"]:
        status, headers, content = desk.ask_fully("GET", f"{base}/stems/{file['name']}")
        assert status == 200
        assert len(content) == file["bytes"]
        assert "attachment" in headers["Content-Disposition"]
        signals[file["name"]] = soundfile.read(io.BytesIO(content))[0]
    mixture = signals.pop("mixture.flac")
    np.testing.assert_allclose(sum(signals.values()), mixture, atol=1e-5)
    recorded = music()
    level = np.linalg.norm(mixture) / np.linalg.norm(recorded)
    np.testing.assert_allclose(mixture, level * recorded, atol=1e-4)
    for path in ("result.json", "../results.json", "stems/../result.json", "stems/", "%2e%2e/x",
                 "stems/..%2fresult.json", "scratch/recording.wav"):  # fmt: skip
        assert desk.ask("GET", f"{base}/{path}")[0] == 404, path
    assert desk.ask("GET", "/results/kept_stems/index.html")[0] == 404
    assert desk.ask("GET", "/results/../sleeping.pid")[0] == 404
    assert desk.ask("GET", "/assets/..%2fdesk.html")[0] == 404
    # Another audiogram of the same recording needs no separation.
    kept = {path: path.stat().st_mtime_ns for path in (desk.results / "kept_stems").rglob("*")}
    assert {path.name for path in kept} > {"Cello.npy", "Violin.npy"}
    assert desk.ask("POST", order(title=title, left=[0] * 8, right=[0] * 8), recording)[0] == 202
    assert desk.finished()["state"] == "done"
    assert [each["hearing"] for each in desk.ask("GET", "/results")[1]] == ["none", "me"]
    assert kept == {
        path: path.stat().st_mtime_ns for path in (desk.results / "kept_stems").rglob("*")
    }


def test_one_job_at_a_time_and_cancelled_at_once(sleeping_desk, recording):
    desk = sleeping_desk
    assert desk.ask("POST", order(title="first.wav"), recording)[0] == 202
    pid = desk.sleeping_pid()
    # The separator works, and its process answers no question.
    job = desk.ask("GET", "/job")[1]
    assert (job["state"], job["step"], job["fraction"]) == ("running", "Separating", 0)
    # The browser receives the answer, because the desk reads a large recording to its end.
    status, answer = desk.ask("POST", order(title="second.wav"), bytes(20_000_000))
    assert status == 409
    assert answer == {
        "problems": ["another recording is being separated; wait for it, or cancel it first"]
    }
    assert desk.ask("GET", "/job")[1]["title"] == "first.wav"
    assert files_in(desk) != []
    began = time.monotonic()
    status, job = desk.ask("DELETE", "/job")
    assert (status, job["state"], job["result"]) == (200, "cancelled", None)
    assert time.monotonic() - began < 20
    assert not is_alive(pid)
    assert files_in(desk) == []
    # The next job starts.
    assert desk.ask("POST", order(title="third.wav"), recording)[0] == 202
    pid = desk.sleeping_pid()
    assert desk.ask("GET", "/job")[1]["title"] == "third.wav"
    # The end of the desk ends its job, too.
    assert desk.end(signal.SIGTERM) in (0, -signal.SIGTERM)
    assert not is_alive(pid)
    assert files_in(desk) == []


def test_the_remaining_time_is_estimated(monkeypatch):
    now = 100.0
    monkeypatch.setattr("cmss.desk.jobs.time", SimpleNamespace(monotonic=lambda: now))
    job = Job("a.wav", _created=now)
    assert job.described()["seconds_left"] is None
    now = 110.0
    # The import of libraries and the decoding do not count.
    job.update({"step": "Separating", "fraction": 0.0})
    now = 115.0
    assert job.described()["seconds_left"] is None
    job.update({"fraction": 0.2})
    assert job.described()["seconds_left"] == pytest.approx(20)
    assert job.described()["seconds"] == 15
    job.state = "done"
    assert (job.described()["seconds"], job.described()["seconds_left"]) == (None, None)


def test_a_killed_process_fails_the_job(sleeping_desk, recording):
    assert sleeping_desk.ask("POST", order(), recording)[0] == 202
    os.kill(sleeping_desk.sleeping_pid(), signal.SIGKILL)
    job = sleeping_desk.finished()
    assert (job["state"], job["problems"]) == (
        "failed", ["the separation ended without a result"])  # fmt: skip
    assert files_in(sleeping_desk) == []


def test_a_killed_desk_leaves_nothing_half_written(tmp_path, recording):
    desk = RunningDesk(tmp_path, "--separator", "sleeping")
    assert desk.ask("POST", order(), recording)[0] == 202
    pid = desk.sleeping_pid()
    desk.end(signal.SIGKILL)
    # No unfinished result has a name under which a result is found.
    assert [path for path in desk.results.iterdir() if not path.name.startswith(".")] == []
    end = time.monotonic() + 60
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.1)
    assert not is_alive(pid)
    with RunningDesk(tmp_path) as next_desk:
        assert files_in(next_desk) == []
        assert next_desk.ask("GET", "/results") == (200, [])
