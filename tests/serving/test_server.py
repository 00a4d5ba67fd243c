"""The command as a process: real clients, a browser, how it starts and how it ends."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import numpy as np
import pytest

from tests.cli.outcome import environment, finish, start

pytestmark = pytest.mark.enable_socket


def began(*words, **variables):
    """A server, and its URL."""
    process = start("serve", *words, "--port", "0", "--json", "--dtype", "float32",
                    env=environment(**variables))  # fmt: skip
    return process, address(process)


def address(process):
    """The URL that it says once it answers."""
    lines = []
    while not lines or lines[-1] != "}\n":
        lines.append(process.stdout.readline())
        if not lines[-1]:
            pytest.fail(process.communicate()[1])
    return json.loads("".join(lines))["url"]


@pytest.fixture(scope="module")
def url(adapters, tiny_backbone):
    process, address = began(adapters, "--backbone", tiny_backbone, "--default", "reviews")
    yield address
    process.send_signal(signal.SIGTERM)
    assert finish(process).code == 0


def asked(url, body, seconds=30):
    request = urllib.request.Request(url, json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=seconds) as answer:
        return json.load(answer)


def test_the_client_of_hugging_face(url, alone):
    from huggingface_hub import InferenceClient

    (want,) = alone.predict(["good tasty"], adapter="reviews")
    for client in (InferenceClient(base_url=url), InferenceClient(f"{url}/models/reviews")):
        found = client.text_classification("good tasty", top_k=2)
        assert {each.label: each.score for each in found} == pytest.approx(
            dict(want.scores), abs=1e-5
        )
        assert found[0].label == want.label
    text = "good tasty awful fast"
    (said,) = alone.predict([text], adapter="tagger")
    tagger = InferenceClient(f"{url}/models/tagger")
    for found in (
        tagger.token_classification(text),
        tagger.token_classification(text, aggregation_strategy="simple", ignore_labels=["X"]),
    ):
        assert [(each.entity_group, each.word, each.start, each.end) for each in found] == [
            (each.label, each.text, each.start, each.end) for each in said.entities
        ]
    reader, context = InferenceClient(f"{url}/models/reader"), "tasty good cold awful fast"
    (answer,) = alone.predict([("good", context)], adapter="reader")
    found = reader.question_answering(question="good", context=context)
    assert (found.answer, found.score) == (answer.answer, pytest.approx(answer.score, abs=1e-5))
    several = reader.question_answering(question="good", context=context, top_k=3)
    assert several[0].answer == answer.answer
    from huggingface_hub.errors import HfHubHTTPError

    with pytest.raises(HfHubHTTPError, match="404"):
        InferenceClient(f"{url}/models/nobody").text_classification("good")


def test_the_client_of_triton(url, alone):
    http = pytest.importorskip("tritonclient.http", reason="pip install tritonclient[http]")
    from tritonclient.utils import InferenceServerException

    client = http.InferenceServerClient(url.removeprefix("http://"))
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("reviews")
    assert not client.is_model_ready("nobody")
    assert client.get_model_metadata("reviews")["inputs"][0]["name"] == "text"
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    texts = ["good tasty", "太慢了"]
    want = alone.predict(texts, adapter="reviews")
    for is_binary in (True, False):
        tensor = http.InferInput("text", [2], "BYTES")
        tensor.set_data_from_numpy(np.array(texts, dtype=object), binary_data=is_binary)
        outputs = [http.InferRequestedOutput(name, binary_data=is_binary)
                   for name in ("prediction", "scores")]  # fmt: skip
        for wanted in (None, outputs):
            found = client.infer("reviews", [tensor], outputs=wanted, request_id="5")
            assert found.get_response()["id"] == "5"
            labels = [each.decode() if isinstance(each, bytes) else each
                      for each in found.as_numpy("prediction")]  # fmt: skip
            assert labels == [each.label for each in want]
            scores = [list(each.scores.values()) for each in want]
            np.testing.assert_allclose(found.as_numpy("scores"), scores, atol=1e-5)
    with pytest.raises(InferenceServerException, match="no adapter"):
        client.infer("nobody", [tensor])


def test_what_is_asked_before_the_end_is_answered(adapters, tiny_backbone):
    """Although SIGTERM comes twice, as of whoever sends it to a process and to its group."""
    process, url = began(adapters, "--backbone", tiny_backbone, "--max-wait-ms", "1500")
    body = {"texts": ["good"], "adapters": ["reviews"]}
    with ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(asked, f"{url}/v1/predict", body) for _ in range(4)]
        time.sleep(0.5)
        for _ in range(2):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
        assert all("reviews" in each.result(20)["predictions"] for each in waiting)
    outcome = finish(process)
    assert outcome.code == 0
    said = [json.loads(line) for line in outcome.stderr.splitlines()]
    assert [each["status"] for each in said if "status" in each] == [200] * 4
    (end,) = [each for each in said if "message" in each]  # and it is said once
    assert end["level"] == "info"
    assert "finished" in end["message"]
    with pytest.raises(OSError):
        asked(f"{url}/v1/predict", body)


_SLOW = """
import pathlib, sys, time
from lora_bert.serving.elsewhere import Elsewhere
compute, marker = Elsewhere.compute, pathlib.Path(sys.argv.pop(1))
def slow(self, asked):
    time.sleep(3.5)
    marker.touch()
    return compute(self, asked)
Elsewhere.compute = slow
from lora_bert.cli import main
main()
"""


@pytest.mark.slow
def test_what_is_being_computed_is_waited_for(adapters, tiny_backbone, tmp_path):
    """Longer than for the answer."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SLOW, tmp_path / "done", "serve", adapters, "--port", "0", "--json",
         "--backbone", tiny_backbone, "--timeout", "0.5", "--quiet"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    url = address(process)
    with pytest.raises(urllib.error.HTTPError, match="504"):
        asked(f"{url}/v1/predict", {"texts": ["good"], "adapters": ["reviews"]})
    process.send_signal(signal.SIGTERM)
    assert finish(process).code == 0
    assert (tmp_path / "done").exists()


def connected(url):
    host, port = re.match(r"http://(.*):(\d+)", url).groups()
    return socket.create_connection((host, int(port)), timeout=20)


def posting(path, size):
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n".encode()


def received(connection):
    """The status and the body of an answer after which the server ends the connection."""
    found = b""
    while part := connection.recv(65536):
        found += part
    head, _, body = found.partition(b"\r\n\r\n")
    return int(head[9:12]), json.loads(body)


def test_what_is_on_its_way_at_the_end_is_answered(adapters, tiny_backbone):
    """Of several large requests some are read, some begun, and of one no byte has come."""
    process, url = began(adapters, "--backbone", tiny_backbone, "--quiet")
    body = json.dumps({"inputs": "good", "more": "a" * 1_900_000}).encode()
    path = "/adapters/reviews/predict"
    whole = [connected(url) for _ in range(6)]
    late = connected(url)
    asked = [ThreadPoolExecutor(1).submit(each.sendall, posting(path, len(body)) + body)
             for each in whole]  # fmt: skip
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    late.sendall(posting(path, len(body)) + body)
    for each in asked:
        each.result(20)
    assert [received(each)[0] for each in (*whole, late)] == [200] * 7
    assert finish(process).code == 0


@pytest.mark.parametrize("more", ["", "Authorization: Bearer wrong\r\n"])
def test_who_sends_too_much_gets_to_read_why(url, more):
    """Although it goes on sending until all is sent, as simple clients do."""
    body = json.dumps({"inputs": "a" * 10_000_000}).encode()
    connection = connected(url)
    connection.sendall(posting("/predict", len(body)) + body)
    status, said = received(connection)
    assert (status, said["error_type"]) == (413, "Validation")


def test_who_is_turned_away_may_ask_again(adapters, tiny_backbone):
    """On the same connection, while another request is answered and after it."""
    options = ("--max-requests", "1", "--max-wait-ms", "1500", "--quiet")
    process, url = began(adapters, "--backbone", tiny_backbone, *options)
    body = json.dumps({"inputs": "good"}).encode()
    request = posting("/adapters/reviews/predict", len(body)) + body
    with connected(url) as first, connected(url) as second:
        first.sendall(request)
        time.sleep(0.5)
        for _ in range(3):
            second.sendall(request)
            said = second.recv(65536)
            assert said.startswith(b"HTTP/1.1 429")
            assert b'"error_type":"Overloaded"' in said
        assert first.recv(65536).startswith(b"HTTP/1.1 200")
        second.sendall(request)
        assert second.recv(65536).startswith(b"HTTP/1.1 200")
    process.send_signal(signal.SIGTERM)
    assert finish(process).code == 0


def test_who_would_rather_speak_http_2_is_answered(url):
    """Java's client offers it with every first request; a body may hold the same words."""
    body = b'{"texts": ["good"], "adapters":\r\n["reviews"]}'
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
    head = posting("/v1/predict", len(body))[:-2]
    for more in (offer + b"\r\n", offer.replace(b"Connection: ", b"Connection: close, ") + b"\r\n"):
        connection = connected(url)
        connection.sendall(head + more + body[:20])
        time.sleep(0.1)
        connection.sendall(body[20:])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_without_the_process_that_computes_it_ends(adapters, tiny_backbone):
    """What waits is told so, and whoever has started it gets to know by the exit code."""
    process, url = began(adapters, "--backbone", tiny_backbone, "--max-wait-ms", "5000")
    body = {"texts": ["good"], "adapters": ["reviews"]}
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(asked, f"{url}/v1/predict", body, 20)
        time.sleep(0.5)
        children = ["ps", "-o", "pid=", "--ppid", str(process.pid)]
        found = subprocess.run(children, capture_output=True, text=True, check=True).stdout
        os.kill(int(found), signal.SIGKILL)
        with pytest.raises(urllib.error.HTTPError, match="503"):
            waiting.result(20)
    outcome = finish(process)
    assert outcome.code == 69
    assert "error: The process that computes has ended (killed by signal 9)." in outcome.stderr
    assert '"level": "error", "message": "The process that computes has ended' in outcome.stderr


def test_ctrl_c_ends_it_too(adapters, tiny_backbone):
    process, _ = began(adapters, "--backbone", tiny_backbone, "--quiet")
    process.send_signal(signal.SIGINT)
    outcome = finish(process)
    assert (outcome.code, outcome.stderr) == (0, "")


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 128 + signal.SIGINT), (signal.SIGTERM, 128 + signal.SIGTERM)],
)
def test_stopped_while_it_starts_it_says_so_and_no_more(adapters, tiny_backbone, number, code):
    """Though the signal is sent to all of its processes, as by Ctrl-C in a terminal."""
    words = ["serve", str(adapters), "--backbone", str(tiny_backbone), "--port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "lora_bert", *words],
        env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    time.sleep(0.6)
    os.killpg(process.pid, number)
    said = process.communicate(timeout=30)[1]
    assert (process.returncode, said.strip()) == (code, "error: Stopped.")


def test_odd_connections_harm_nobody(url):
    """Half a request, no request, no HTTP, and one that hangs up: the next one is answered."""
    host, port = re.match(r"http://(.*):(\d+)", url).groups()
    left = []
    begun = b"POST /v1/predict HTTP/1.1\r\nHost: local"
    half = begun + b"host\r\nContent-Length: 99\r\n\r\n{"
    for sent in (b"", begun, b"\x16\x03\x01\x02\0\x01", b"GET\r\n\r\n", half):
        left.append(socket.create_connection((host, int(port)), timeout=5))
        left[-1].sendall(sent)
    body = {"texts": ["good"], "adapters": ["reviews"]}
    assert asked(f"{url}/v1/predict", body)["predictions"]
    for each in left:
        each.close()
    assert asked(f"{url}/v1/predict", body)["predictions"]


def test_a_browser_shows_the_page_and_its_answers(url, alone, tmp_path):
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    browser = os.environ.get("LORA_BERT_BROWSER") or next(
        filter(None, map(shutil.which, names)), ""
    )
    if not browser:
        pytest.skip("no browser here: install Chromium or set $LORA_BERT_BROWSER")

    def shown(fragment, *options):
        return subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=8000",
             f"--user-data-dir={tmp_path}/me", *options, "--dump-dom", f"{url}/{fragment}"],
            capture_output=True, text=True, timeout=120, check=True,
        ).stdout  # fmt: skip

    texts = quote("good tasty awful fast\ngood <b>")
    page = shown(f"#adapters=reviews,tagger&text={texts}", "--lang=zh-CN")
    assert page.count('class="answer"') == 2 * 2
    assert "good &lt;b&gt;" in page
    assert page.count('class="bar') == 2 * 2
    for each in alone.predict(["good tasty awful fast"], adapter="tagger")[0].entities:
        assert f"<mark>{each.text}<small>{each.label}" in page
    assert "<mark>" in page
    assert f"curl {url}/v1/predict" in page
    pairs = shown("#adapters=reader&text=good&second=tasty%20good%20cold", "--window-size=400,800")
    assert 'class="answer"' in pairs
    listed = shown("docs")
    assert "/v2/models/{name}/infer" in listed
    assert "/adapters/{name}/predict" in listed


@pytest.mark.parametrize(("words", "code", "says"), [
    (("nowhere",), 66, "No such directory of adapters: 'nowhere'."),
    (("{adapters}", "--default", "nobody"), 2, "--default: there is no adapter 'nobody'."),
    (("{adapters}/reviews",), 2, "is an adapter; serve needs the directory that holds adapters."),
    (("{adapters}", "--host", "192.0.2.1"), 69, "The server cannot listen on port"),
    (("{adapters}", "--port", "70000"), 2, "--port: 70000 is too large"),
    ((), 2, "serve needs a directory of adapters."),
])  # fmt: skip
def test_mistakes(adapters, tiny_backbone, capsys, words, code, says, monkeypatch):
    from lora_bert.cli.app import run

    words = [word.format(adapters=adapters) for word in words]
    assert run(["serve", *words, "--backbone", str(tiny_backbone)]) == code
    assert says in capsys.readouterr().err


def test_a_port_that_is_taken(adapters, tiny_backbone, url, capsys):
    from lora_bert.cli.app import run

    port = url.rsplit(":", 1)[1]
    assert run(["serve", str(adapters), "--backbone", str(tiny_backbone), "--port", port]) == 69
    assert f"port {port} of 127.0.0.1" in capsys.readouterr().err


def test_packages_that_are_not_installed(adapters, capsys, monkeypatch):
    from lora_bert.cli.app import run
    from lora_bert.serving import server

    monkeypatch.setattr(server, "find_spec", lambda name: None if name == "uvicorn" else name)
    assert run(["serve", str(adapters)]) == 69
    said = capsys.readouterr().err
    assert "serve needs packages that are not installed: uvicorn." in said
    assert "pip install 'lora-bert[serve]'" in said


def test_an_empty_secret_is_none(adapters, tiny_backbone, capsys, monkeypatch):
    from lora_bert.cli.app import run

    monkeypatch.setenv("LORA_BERT_API_KEY", "")
    assert run(["serve", str(adapters), "--backbone", str(tiny_backbone), "--port", "0"]) == 2
    assert "$LORA_BERT_API_KEY is empty" in capsys.readouterr().err
