"""Who is let in, what is refused, what is said of requests; adapters put in and taken out."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import threading

import numpy as np
import pytest
from starlette.requests import Request

from lora_bert.serving.access import Access
from lora_bert.serving.refusals import RefusedError
from tests.inference.test_session import with_other_weights
from tests.serving.test_protocols import posted

ASK = {"texts": ["good"], "adapters": ["reviews"]}
PREDICT = "/adapters/reviews/predict"


class TestAccess:
    @pytest.mark.parametrize(("host", "status"), [
        ("127.0.0.1:8080", 200), ("localhost", 200), ("LOCALHOST:1", 200), ("[::1]:8080", 200),
        ("10.1.2.3", 200), ("evil.example", 421), ("localhost.evil.example", 421), ("", 421),
        ("127.0.0.1.evil.example", 421), ("[", 421), ("a@localhost.evil", 421),
    ])  # fmt: skip
    def test_names_that_the_server_does_not_have(self, client, host, status):
        assert client.get("/v1/adapters", headers={"host": host}).status_code == status
        assert client.post("/v1/predict", json=ASK, headers={"host": host}).status_code == status

    def test_checks_of_http_1_0_need_not_name_it(self):
        head = {"type": "http", "method": "GET", "path": "/health/ready", "headers": []}
        Access().check(Request(head), "")
        with pytest.raises(RefusedError, match=r"is not called 'evil\.example'"):
            Access().check(Request(head | {"headers": [(b"host", b"evil.example")]}), "")

    def test_names_that_it_has(self, serve):
        client = serve(allowed_host=["ml.example"])
        for host in ("ml.example", "ML.example:80", "ml.example.", "localhost"):
            assert client.get("/v1/models", headers={"host": host}).status_code == 200
        assert client.get("/v1/models", headers={"host": "x.ml.example"}).status_code == 421
        assert serve(allowed_host=["*"]).get("/v1/models", headers={"host": "x"}).status_code == 200

    def test_pages_of_others_may_not_ask(self, client):
        for origin, status in (
            ("http://127.0.0.1:8080", 200), ("https://evil.example", 403), ("null", 403),
            ("http://[", 403),
        ):  # fmt: skip
            response = client.post("/v1/predict", json=ASK, headers={"origin": origin})
            assert response.status_code == status
            assert "access-control-allow-origin" not in response.headers
        assert client.options("/v1/predict").status_code == 405

    def test_a_key(self, serve, monkeypatch, caplog):
        monkeypatch.setenv("LORA_BERT_API_KEY", "sécret")
        client = serve()
        caplog.set_level(logging.DEBUG)
        for given in (None, "Bearer wrong", "Bearer", "Basic sécret", "sécret", "Bearer sécret2"):
            headers = {} if given is None else {"authorization": given.encode()}
            for path in ("/v1/models", "/metrics", "/info", "/v2", "/v1/adapters"):
                response = client.get(path, headers=headers)
                assert response.status_code == 401
                assert response.headers["www-authenticate"] == "Bearer"
        headers = {"authorization": "bearer sécret".encode()}
        assert client.post(PREDICT, json={"inputs": "good"}, headers=headers).status_code == 200
        for path in ("/health", "/health/live", "/v2/health/ready", "/", "/docs", "/openapi.json"):
            assert client.get(path).status_code == 200
        assert "sécret" not in caplog.text

    def test_answers_say_no_more_than_they_should(self, client):
        headers = client.get("/v1/adapters").headers
        assert (headers["x-content-type-options"], headers["cache-control"]) == (
            "nosniff",
            "no-store",
        )
        assert "server" not in headers


class TestRefusals:
    @pytest.mark.parametrize(("raw", "status"), [
        (b"", 400), (b"{", 400), (b"\xff\xfe", 400), (b'{"inputs": NaN}', 400),
        (b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
        (b'{"inputs": ' + b"1" * 5000 + b"}", 400), (b'{"inputs": 1}', 422), (b"[]", 422),
        (b'{"inputs": []}', 400), (b'{"inputs": ["a", "b", "c"]}', 422),
        (b'{"inputs": [["a"], "b"]}', 422), (b'"\\ud83d"', 422),
        (b'{"inputs": "a", "raw_scores": "\\ud800"}', 422),
        (b'{"inputs": [[]]}', 422), (b'{"inputs": "a", "truncate": "yes"}', 422),
        (b'{"inputs": "\\ud83d"}', 200), (b'{"inputs": ""}', 200), (b'{"inputs": "\\u0000"}', 200),
    ])  # fmt: skip
    def test_bodies(self, client, raw, status):
        response = client.post(PREDICT, content=raw)
        assert response.status_code == status, response.text
        if status != 200:
            assert set(response.json()) == {"error", "error_type"}

    def test_limits(self, serve):
        client = serve(max_body=0.001, max_texts=2)
        said = posted(client, PREDICT, {"inputs": "a" * 2000}, 413)
        assert "1,000 bytes" in said["error"]

        def pieces():
            yield from [b"a" * 100] * 20

        assert client.post(PREDICT, content=pieces()).status_code == 413
        posted(client, PREDICT, {"inputs": [["a"], ["b"], ["c"]]}, 413)
        posted(
            client,
            "/v1/predict",
            ASK | {"texts": ["a", "b"], "adapters": ["reviews", "stars"]},
            413,
        )
        compressed = client.post(PREDICT, content=b"x", headers={"content-encoding": "gzip"})
        assert compressed.status_code == 415

    def test_paths_and_methods(self, client):
        assert client.get("/nothing").json()["error"].startswith("The server has no such path.")
        assert client.get(PREDICT).status_code == 405
        assert client.get(PREDICT).headers["allow"] == "POST"
        assert client.post("/v1/adapters/../../etc", json={}).status_code == 404
        for path in ("/nothing", f"{PREDICT}/"):
            response = client.post(path, json={}, follow_redirects=False)
            assert response.status_code == 404
            assert response.headers["x-content-type-options"] == "nosniff"
            foreign = client.post(
                path, json={}, headers={"host": "evil.example"}, follow_redirects=False
            )
            assert foreign.json()["error"].startswith("The server is not called 'evil.example'.")

    def test_texts_without_end(self, client):
        endless = "a " * 60_000
        for path in (PREDICT, "/adapters/reviews/tokenize"):
            assert client.post(path, json={"inputs": endless}).status_code == 413
        assert client.post("/adapters/reviews/tokenize", json={"inputs": []}).status_code == 400

    def test_an_adapter_that_cannot_be_opened_is_an_error(self, adapters, serve, tmp_path, caplog):
        place = tmp_path / "adapters"
        shutil.copytree(adapters / "reviews", place / "reviews")
        shutil.copytree(adapters / "reviews", place / "broken")
        (place / "broken" / "adapter_model.safetensors").write_bytes(b"no tensors")
        client = serve(place)
        said = posted(client, "/adapters/broken/predict", {"inputs": "good"}, 424)
        assert said["error_type"] == "Backend"
        assert str(tmp_path) not in said["error"]  # the log has it
        assert str(place / "broken") in caplog.text
        posted(client, "/classify", {"model": "broken", "input": "good"}, 500)
        assert client.get("/v2/models/broken/ready").status_code == 500
        assert posted(client, PREDICT, {"inputs": "good"})

    def test_too_much_at_once(self, serve, assemble):
        client = serve(max_requests=1)
        assert posted(client, PREDICT, {"inputs": "good"})
        app = assemble()
        refusal = RefusedError("busy", "Too much is waiting.", retry_after=7)

        def busy(*_):
            raise refusal

        app.answerer.scheduler.submit = busy
        from starlette.testclient import TestClient

        response = TestClient(app.asgi(), base_url="http://localhost").post(
            PREDICT, json={"inputs": "a"}
        )
        assert (response.status_code, response.headers["retry-after"]) == (429, "7")
        assert response.json()["error_type"] == "Overloaded"

    def test_no_answer_in_time(self, assemble, monkeypatch):
        app = assemble(timeout=0.05)
        held = threading.Event()
        compute = app.answerer.scheduler._compute

        def slow(asked):
            assert held.wait(10)
            return compute(asked)

        monkeypatch.setattr(app.answerer.scheduler, "_compute", slow)
        from starlette.testclient import TestClient

        client = TestClient(app.asgi(), base_url="http://localhost")
        posted(client, "/v1/predict", ASK, 504)
        posted(client, PREDICT, {"inputs": "bad"}, 424)
        assert app.answerer.scheduler.waiting == (0, 0)  # nobody waits for it any more
        held.set()

    def test_numbers_that_are_none_are_no_answer(self, assemble, monkeypatch):
        app = assemble()
        monkeypatch.setattr(app.answerer.scheduler, "_compute",
                            lambda asked: [np.full((1, 2), np.nan)] * len(asked))  # fmt: skip
        from starlette.testclient import TestClient

        client = TestClient(app.asgi(), base_url="http://localhost")
        assert "no numbers" in posted(client, "/v1/predict", ASK, 500)["error"]["message"]

    def test_what_fails_in_computing_is_said_and_logged(self, assemble, monkeypatch, caplog):
        app = assemble()

        def broken(asked):
            raise RuntimeError("of the machine")

        monkeypatch.setattr(app.answerer.scheduler, "_compute", broken)
        from starlette.testclient import TestClient

        client = TestClient(app.asgi(), base_url="http://localhost")
        assert "of the machine" not in posted(client, "/v1/predict", ASK, 500)["error"]["message"]
        assert "of the machine" in caplog.text


def began(app, sent, gone):
    """A request that waits in the scheduler, and what becomes of it; the client is not there for
    its answer once ``gone`` is set."""
    messages = [{"type": "http.request", "body": json.dumps(ASK).encode()}]

    async def receive():
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/predict", "query_string": b"",
             "headers": [(b"host", b"localhost")], "client": ("1.2.3.4", 5), "scheme": "http",
             "server": ("localhost", 80), "root_path": "", "http_version": "1.1"}  # fmt: skip
    return asyncio.ensure_future(app.asgi()(scope, receive, send))


@pytest.mark.parametrize(("ends", "status"), [("client", 499), ("server", 503)])
def test_what_is_broken_off_is_not_computed(assemble, ends, status):
    """The client hangs up; or the server, which ends, has waited long enough and says so."""
    app, sent = assemble(max_wait_ms=5000), list[dict]()

    async def call():
        gone = asyncio.Event()
        asked = began(app, sent, gone)
        while app.answerer.scheduler.waiting == (0, 0):
            await asyncio.sleep(0.01)
        if ends == "client":
            gone.set()
        else:
            asked.cancel()
        await asyncio.wait_for(asked, 4)

    asyncio.run(call())
    assert app.answerer.scheduler.waiting == (0, 0)
    assert sent[0]["status"] == status
    if ends == "server":
        assert json.loads(sent[1]["body"])["error"]["kind"] == "unavailable"


def logged(caplog):
    lines = [json.loads(each.message) for each in caplog.records if each.message[:1] == "{"]
    return {line["id"]: line for line in lines}


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/nothing", 404), ("POST", "/nothing", 404), ("GET", PREDICT, 405),
    ("DELETE", "/v1/models", 405), ("POST", f"{PREDICT}/", 404),
])  # fmt: skip
def test_what_there_is_not_leaves_a_line_too(client, caplog, method, path, status):
    caplog.set_level(logging.INFO, "lora_bert")
    for given in ("mine-1", ""):
        response = client.request(method, path, headers={"x-request-id": given}, content=b"x")
        line = logged(caplog)[response.headers["x-request-id"]]
        assert (response.status_code, line["status"], line["method"]) == (status, status, method)
        assert (line["path"], line["adapter"]) == (path, "")
    assert "mine-1" in logged(caplog)
    foreign = client.request(method, path, headers={"host": "evil.example"})
    assert logged(caplog)[foreign.headers["x-request-id"]]["status"] == 421
    counted = client.get("/metrics").text
    assert f'lora_bert_requests_total{{protocol="other",status="{status}"}}' in counted


def test_a_line_of_the_log_for_each_request(client, caplog):
    caplog.set_level(logging.INFO, "lora_bert")
    response = client.post(
        PREDICT, json={"inputs": "very secret"}, headers={"x-request-id": "abc-1"}
    )
    assert response.headers["x-request-id"] == "abc-1"
    odd = client.get("/v1/models", headers={"x-request-id": "a b\tc"}).headers["x-request-id"]
    assert len(odd) == 32
    first = logged(caplog)["abc-1"]
    assert (first["status"], first["adapter"], first["rows"]) == (200, "reviews", 1)
    assert (first["method"], first["path"]) == ("POST", PREDICT)
    assert first["ms"] > 0
    assert "very secret" not in caplog.text


def test_all_paths_are_described(client, assemble):
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.")
    spoken = assemble().protocols[:-1]  # the last one is of the pages
    served = {(each.path, each.method.lower()) for protocol in spoken
              for each in protocol.operations}  # fmt: skip
    described = {(path, method) for path, each in document["paths"].items() for method in each}
    assert described == served
    for path, each in document["paths"].items():
        for said in each.values():
            named = {one["name"] for one in said.get("parameters", ())}
            assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}
            if content := said.get("requestBody"):
                reference = content["content"]["application/json"]["schema"]["$ref"]
                assert reference.split("/")[-1] in document["components"]["schemas"]


def test_a_path_and_a_body_that_name_different_adapters(client):
    body = {"model": "stars", "input": "good"}
    said = posted(client, "/adapters/reviews/classify", body, 400)["message"]
    assert said == (
        "The path names the adapter 'reviews', the body 'stars'. Leave out one of them."
    )
    assert posted(client, "/adapters/reviews/classify", body | {"model": "reviews"})


def test_whole_models_are_told_that_are_not_served(serve, adapters, tmp_path, caplog):
    shutil.copytree(adapters / "reviews", tmp_path / "reviews")
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / "config.json").write_text("{}")
    serve(tmp_path)
    (said,) = [each for each in caplog.messages if "not served" in each]
    assert said == f"'{tmp_path / 'merged'}' is a whole model, and is not served: adapters are."


def test_pages_load_nothing_from_elsewhere(client):
    for path in ("/", "/docs"):
        response = client.get(path)
        assert response.headers["content-type"].startswith("text/html")
        assert "connect-src 'self'" in response.headers["content-security-policy"]
        assert "http://" not in response.text
        assert "https://" not in response.text


class TestAdmin:
    @pytest.fixture
    def directory(self, adapters, tmp_path):
        place = tmp_path / "adapters"
        shutil.copytree(adapters / "reviews", place / "reviews")
        with_other_weights(adapters / "reviews", place / "versions" / "second", 3)
        return place

    def asked(self, client, action, token="t", **body):
        headers = {"authorization": f"Bearer {token}"}
        content = json.dumps(body)  # half an emoji as its escape
        return client.post(f"/v1/{action}_lora_adapter", content=content, headers=headers)

    def test_off_unless_there_is_a_token(self, serve, directory, monkeypatch):
        body = {"lora_name": "new", "lora_path": "versions/second"}
        assert self.asked(serve(directory), "load", **body).status_code == 404
        client = serve(directory, admin_token="t", api_key="k")
        for token in ("k", "", "T"):
            assert self.asked(client, "load", token, **body).status_code == 401
        assert self.asked(client, "load", **body).status_code == 200

    def test_put_in_replaced_and_taken_out(self, serve, directory):
        client = serve(directory, admin_token="t")
        first = posted(client, PREDICT, {"inputs": "good"})
        body = {"lora_name": "reviews", "lora_path": "versions/second"}
        assert self.asked(client, "load", **body).status_code == 400
        assert posted(client, PREDICT, {"inputs": "good"}) == first
        done = self.asked(client, "load", **body, load_inplace=True)
        assert done.text == "Success: LoRA adapter 'reviews' added successfully."
        second = posted(client, PREDICT, {"inputs": "good"})
        assert second != first
        done = self.asked(
            client, "load", lora_name="x", lora_path=str(directory / "versions/second")
        )
        assert done.status_code == 200
        assert posted(client, "/adapters/x/predict", {"inputs": "good"}) == second
        assert self.asked(client, "unload", lora_name="reviews").status_code == 200
        posted(client, PREDICT, {"inputs": "good"}, 404)
        assert self.asked(client, "unload", lora_name="reviews").status_code == 404
        own = self.asked(client, "load", lora_name="reviews", lora_path="reviews")
        assert own.status_code == 200
        assert posted(client, PREDICT, {"inputs": "good"}) == first
        broken = client.post(
            "/v1/load_lora_adapter", content=rb'{"lora_name": "\ud800", "lora_path": "reviews"}',
            headers={"authorization": "Bearer t"},
        )  # fmt: skip
        assert broken.status_code == 400
        assert (directory / "reviews").is_dir()

    def test_only_below_the_directory_and_only_what_answers(
        self, serve, directory, adapters, tmp_path
    ):
        client = serve(directory, admin_token="t")
        (directory / "link").symlink_to(adapters / "stars")
        broken = shutil.copytree(adapters / "stars", directory / "broken")
        (broken / "adapter_model.safetensors").write_bytes(b"x")
        (directory / "empty").mkdir()
        for path in ("..", ".", "", str(adapters / "stars"), "link", "nothing", "../adapters",
                     "versions/../../x", "a\0b", "\ud83d", "a" * 5000, "broken",
                     "empty"):  # fmt: skip
            refused = self.asked(client, "load", lora_name="x", lora_path=path)
            assert refused.status_code == 400, path
            assert "x" not in client.get("/v1/models").json()["data"]
        for name in ("", ".hidden", "a/b", "..", "a\\b", "a" * 300, "\ud83d"):
            refused = self.asked(client, "load", lora_name=name, lora_path="reviews")
            assert refused.status_code == 400, name
            assert "cannot be an adapter's name. One has 1 to 200" in refused.json()["message"]

    def test_the_default_is_taken_out_and_a_new_one_put_there(self, serve, directory):
        client = serve(directory, admin_token="t", default="reviews")
        first = posted(client, "/predict", {"inputs": "good"})
        assert self.asked(client, "unload", lora_name="reviews").status_code == 200
        refused = posted(client, "/predict", {"inputs": "good"}, 404)
        assert "The server's --default, 'reviews', is not there any more." in refused["error"]
        shutil.rmtree(directory / "reviews")
        (directory / "versions" / "second").rename(directory / "reviews")
        assert posted(client, "/predict", {"inputs": "good"}) != first

    def test_the_directory_is_watched(self, serve, directory, adapters, tmp_path):
        client = serve(directory)
        posted(client, "/adapters/new/predict", {"inputs": "good"}, 404)
        shutil.copytree(adapters / "stars", tmp_path / "new")
        (tmp_path / "new").rename(directory / "new")
        assert posted(client, "/adapters/new/predict", {"inputs": "good"})
        shutil.rmtree(directory / "new")
        posted(client, "/adapters/new/predict", {"inputs": "good"}, 404)
