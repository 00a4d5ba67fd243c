"""What clients of other servers send, and get: recorded bodies, and those of real clients' code."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

TEXTS = ["good tasty", "bad and slow", "太慢了"]


def probabilities(alone, name, texts):
    return [dict(each.scores) for each in alone.predict(texts, adapter=name)]


def by_label(listed):
    return {each["label"]: each["score"] for each in listed}


def posted(client, path, body, status=200, **more):
    response = client.post(path, content=json.dumps(body), **more)  # half an emoji as its escape
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


class TestTEI:
    def test_one_text_and_a_batch(self, client, alone):
        want = probabilities(alone, "reviews", TEXTS)
        one = posted(client, "/adapters/reviews/predict", {"inputs": TEXTS[0]})
        assert by_label(one) == pytest.approx(want[0], abs=1e-5)
        assert one == sorted(one, key=lambda each: -each["score"])
        batch = posted(client, "/adapters/reviews/predict", {"inputs": [[t] for t in TEXTS]})
        assert [by_label(each) for each in batch] == [
            pytest.approx(each, abs=1e-5) for each in want
        ]

    def test_two_texts_are_one_pair(self, client, alone):
        (want,) = probabilities(alone, "pairs", [("good 1", "bad 2")])
        path = "/adapters/pairs/predict"
        one = posted(client, path, {"inputs": ["good 1", "bad 2"]})
        assert by_label(one) == pytest.approx(want, abs=1e-5)
        batch = posted(client, path, {"inputs": [["good 1", "bad 2"], ["a", "b"]]})
        assert by_label(batch[0]) == pytest.approx(want, abs=1e-5)
        assert posted(client, path, {"inputs": "good"}, 422)["error_type"] == "Validation"

    def test_several_labels_are_not_shared_out(self, client, alone):
        (want,) = probabilities(alone, "several", TEXTS[:1])
        found = by_label(posted(client, "/adapters/several/predict", {"inputs": TEXTS[0]}))
        assert found == pytest.approx(want, abs=1e-5)
        assert sum(found.values()) != pytest.approx(1, abs=1e-3)

    def test_a_number_is_a_number(self, client, alone):
        (want,) = alone.predict(TEXTS[:1], adapter="stars")
        for raw in (False, True):
            body = {"inputs": TEXTS[0], "raw_scores": raw}
            found = posted(client, "/adapters/stars/predict", body)
            assert found == [{"label": "value", "score": pytest.approx(want, abs=1e-4)}]

    def test_raw_scores_are_logits(self, client, alone):
        body = {"inputs": TEXTS[0], "raw_scores": True}
        logits = by_label(posted(client, "/adapters/reviews/predict", body))
        (want,) = probabilities(alone, "reviews", TEXTS[:1])
        powers = {label: np.exp(score) for label, score in logits.items()}
        shares = {label: power / sum(powers.values()) for label, power in powers.items()}
        assert shares == pytest.approx(want, abs=1e-5)

    def test_rerank(self, client, alone):
        texts = ["bad 1", "good 3", "tasty 2"]
        want = alone.predict([("good 1", text) for text in texts], adapter="relevant")
        body = {"query": "good 1", "texts": texts, "return_text": True}
        for path in ("/adapters/relevant/rerank",):
            found = posted(client, path, body)
            assert [each["score"] for each in found] == pytest.approx(sorted(want)[::-1], abs=1e-5)
            assert {each["text"]: each["index"] for each in found} == {
                text: at for at, text in enumerate(texts)
            }
        assert "text" not in posted(client, path, body | {"return_text": False})[0]
        refused = posted(client, "/adapters/pairs/rerank", body, 422)
        assert "2 labels" in refused["error"]
        assert posted(client, path, body | {"texts": []}, 400)["error_type"] == "Empty"

    def test_a_text_that_is_too_long(self, client, serve):
        path, long = "/adapters/reviews/predict", "good " * 200
        assert posted(client, path, {"inputs": long})  # cut, as infer does
        for body in ({"truncate": False}, {"truncation_direction": "left"}):
            posted(client, path, {"inputs": long} | body, 422)
        strict = serve(truncate=False)
        assert "more than" in posted(strict, path, {"inputs": long}, 422)["error"]
        cut = posted(strict, path, {"inputs": long, "truncate": True})
        assert cut == posted(client, path, {"inputs": long})

    def test_info_and_tokens(self, client, alone):
        info = client.get("/adapters/reviews/info").json()
        assert info["model_type"]["classifier"]["id2label"] == {"0": "negative", "1": "positive"}
        assert info["model_dtype"] == "float32"
        assert info["max_client_batch_size"] == 256
        ((first, *_, last),) = posted(client, "/adapters/reviews/tokenize", {"inputs": "good x"})
        assert (first["text"], first["special"], first["start"]) == ("[CLS]", True, None)
        assert last["text"] == "[SEP]"
        body = {"inputs": ["good x"], "add_special_tokens": False}
        ((token, *_),) = posted(client, "/adapters/reviews/tokenize", body)
        assert token == {"id": token["id"], "text": "good", "special": False, "start": 0, "stop": 4}


class TestVLLM:
    def test_classify(self, client, alone):
        want = alone.predict(TEXTS, adapter="reviews")
        body = {"model": "reviews", "input": TEXTS, "request_id": "x", "user": "me"}
        found = posted(client, "/classify", body)
        assert found["id"] == "classify-x"
        assert (found["object"], found["model"]) == ("list", "reviews")
        for at, (each, prediction) in enumerate(zip(found["data"], want, strict=True)):
            assert (each["index"], each["label"]) == (at, prediction.label)
            assert each["num_classes"] == 2
            assert each["probs"] == pytest.approx(list(prediction.scores.values()), abs=1e-5)
        assert found["usage"]["prompt_tokens"] == found["usage"]["total_tokens"] > 6
        one = posted(client, "/classify", {"model": "reviews", "input": TEXTS[0]})
        assert one["data"] == found["data"][:1]

    def test_token_ids(self, client, alone):
        ids = alone.predictor("reviews").tokenizer.encode(TEXTS[:1]).ids.tolist()
        want = posted(client, "/classify", {"model": "reviews", "input": TEXTS[0]})["data"]
        for given in (ids, [ids]):
            body = {"model": "reviews", "input": given}
            assert posted(client, "/classify", body)["data"][0]["probs"] == pytest.approx(
                want[0]["probs"], abs=1e-5
            )
        for given in ([9999], [[-1]], [[]], ["a", 1], [], [True]):
            refused = posted(client, "/classify", {"model": "reviews", "input": given}, 400)
            assert refused["error"]["code"] == refused["code"] == 400
            assert refused["object"] == "error"
        posted(client, "/classify", {"model": "pairs", "input": ids}, 400)

    def test_lengths(self, client):
        body = {"model": "reviews", "input": "good " * 50}
        whole = posted(client, "/classify", body)["usage"]["prompt_tokens"]
        cut = posted(client, "/classify", body | {"truncate_prompt_tokens": 7})
        assert whole > cut["usage"]["prompt_tokens"] == 7
        assert posted(client, "/classify", body | {"truncate_prompt_tokens": -1})
        posted(client, "/classify", body | {"truncate_prompt_tokens": 1}, 400)
        posted(client, "/classify", body | {"truncate_prompt_tokens": -2}, 400)
        posted(client, "/classify", body | {"truncation_side": "left"}, 400)
        posted(client, "/classify", body | {"priority": 1}, 400)

    def test_score_and_rerank(self, client, alone):
        documents = ["bad 1", "good 3"]
        want = alone.predict([("good 1", text) for text in documents], adapter="relevant")
        for first, second in (("queries", "documents"), ("text_1", "text_2")):
            body = {"model": "relevant", first: "good 1", second: documents}
            found = posted(client, "/score", body)["data"]
            assert [each["score"] for each in found] == pytest.approx(want, abs=1e-5)
            assert found[1]["object"] == "score"
        body = {"model": "relevant", "query": "good 1", "documents": documents}
        for path in ("/rerank", "/v1/rerank", "/v2/rerank"):
            found = posted(client, path, body)
            assert [each["index"] for each in found["results"]] == np.argsort(
                -np.array(want)
            ).tolist()
            assert found["results"][0]["document"]["text"] in documents
            assert len(posted(client, path, body | {"top_n": 1})["results"]) == 1
        posted(
            client, "/score", {"model": "relevant", "queries": ["a", "b"], "documents": "c"}, 400
        )
        posted(client, "/score", {"model": "relevant"}, 400)

    def test_models(self, client, tiny_backbone):
        listed = client.get("/v1/models").json()["data"]
        base, *rest = listed
        assert base["parent"] is None
        assert {each["id"] for each in rest} >= {"reviews", "tagger", "stars"}
        assert all(each["parent"] == base["id"] for each in rest)

    @pytest.mark.parametrize(
        "name", ["nobody", "../reviews", "reviews/..", ".", "tiny-bert", "a" * 999, "\ud83d"]
    )
    def test_what_is_no_adapter_is_never_the_backbone(self, client, name):
        refused = posted(client, "/classify", {"model": name, "input": "good"}, 404)
        assert refused["error"]["type"] == "NotFoundError"

    def test_no_name_where_there_are_several(self, client, serve, alone):
        assert (
            "which adapter" in posted(client, "/classify", {"input": "a"}, 400)["error"]["message"]
        )
        default = serve(default="reviews")
        assert posted(default, "/classify", {"input": "a"})["model"] == "reviews"
        assert posted(default, "/classify", {"input": "a", "model": "stars"})["model"] == "stars"


def test_semantic_router(client, serve):
    """Every label once, in 0…1, which add up to 1 ± 0.02; refused where they cannot."""
    default = serve(default="reviews")
    for where, path in ((default, "/classify"), (client, "/adapters/reviews/classify")):
        found = posted(where, path, {"inputs": "good tasty"})
        assert {each["label"] for each in found} == {"negative", "positive"}
        assert sum(each["score"] for each in found) == pytest.approx(1, abs=0.02)
    for name in ("stars", "several", "tagger"):
        posted(client, f"/adapters/{name}/classify", {"inputs": "good"}, 400)
    for text in "a b c d e f g hot cold fine late fast".split():  # some sigmoids add up to 1
        posted(client, "/adapters/several/classify", {"inputs": text}, 400)
    posted(default, "/classify", {"inputs": "good", "model": "nobody"}, 404)


class TestHuggingFace:
    def test_labels_stand_in_a_list(self, client, alone):
        (want,) = probabilities(alone, "reviews", TEXTS[:1])
        ((first, second),) = posted(client, "/models/reviews", {"inputs": TEXTS[0]})
        assert by_label([first, second]) == pytest.approx(want, abs=1e-5)
        body = {"inputs": TEXTS, "parameters": {"top_k": 1}}
        assert [len(each) for each in posted(client, "/models/reviews", body)] == [1, 1, 1]
        body = {"inputs": {"text": "good 1", "text_pair": "bad 2"}}
        assert len(posted(client, "/models/pairs", body)[0]) == 2

    @pytest.mark.parametrize("function", ["softmax", "sigmoid", "none"])
    def test_functions(self, client, function):
        raw = by_label(posted(client, "/adapters/several/predict",
                              {"inputs": "good", "raw_scores": True}))  # fmt: skip
        body = {"inputs": "good", "parameters": {"function_to_apply": function}}
        found = by_label(posted(client, "/models/several", body)[0])
        logits = np.array(list(raw.values()))
        want = {"none": logits, "sigmoid": 1 / (1 + np.exp(-logits)),
                "softmax": np.exp(logits) / np.exp(logits).sum()}[function]  # fmt: skip
        assert [found[label] for label in raw] == pytest.approx(want.tolist(), abs=1e-5)

    def test_entities(self, client, alone):
        text = "good tasty awful fast"
        (said,) = alone.predict([text], adapter="tagger")
        found = posted(client, "/models/tagger", {"inputs": text})
        assert [(each["entity_group"], each["start"], each["end"]) for each in found] == [
            (each.label, each.start, each.end) for each in said.entities
        ]
        assert all(text[each["start"] : each["end"]] == each["word"] for each in found)
        body = {"inputs": text, "parameters": {"aggregation_strategy": "none", "ignore_labels": []}}
        words = posted(client, "/models/tagger", body)
        assert [each["word"] for each in words] == text.split()
        assert all(text[each["start"] : each["end"]] == each["word"] for each in words)
        assert words[1]["entity"].endswith("DISH")
        assert posted(client, "/models/tagger", {"inputs": [text, text]}) == [found, found]

    def test_answers(self, client, alone):
        asked = {"question": "good", "context": "tasty good cold awful fast"}
        (said,) = alone.predict([tuple(asked.values())], adapter="reader")
        found = posted(client, "/models/reader", {"inputs": asked})
        assert (found["answer"], found["score"]) == (
            said.answer,
            pytest.approx(said.score, abs=1e-5),
        )
        if said.answer:
            assert asked["context"][found["start"] : found["end"]] == found["answer"]
        body = {"inputs": asked, "parameters": {"top_k": 3, "handle_impossible_answer": False}}
        several = posted(client, "/models/reader", body)
        assert len(several) > 1
        assert all(each["answer"] for each in several)

    @pytest.mark.parametrize(("name", "body"), [
        ("reviews", {"inputs": "a", "parameters": {"top_k": 0}}),
        ("reviews", {"inputs": "a", "parameters": {"top_p": 1}}),
        ("reviews", {"inputs": "a", "parameters": {"function_to_apply": "tanh"}}),
        ("reviews", {"inputs": {"question": "a", "context": "b"}}),
        ("reviews", {"inputs": {"text": 1}}),
        ("reviews", {"inputs": [["a", 2]]}),
        ("reviews", {"parameters": {}}),
        ("tagger", {"inputs": "a", "parameters": {"stride": 3}}),
        ("reader", {"inputs": "a"}),
        ("reader", {"inputs": {"question": "a", "context": "b"}, "parameters": {"doc_stride": 9}}),
    ])  # fmt: skip
    def test_what_cannot_be_done_is_said(self, client, name, body):
        assert list(posted(client, f"/models/{name}", body, 422)) == ["error"]


def binary(texts):
    encoded = [text.encode() for text in texts]
    return b"".join(struct.pack("<I", len(each)) + each for each in encoded)


class TestKServe:
    def body(self, texts, **more):
        return {"inputs": [{"name": "text", "shape": [len(texts)], "datatype": "BYTES",
                            "data": texts}], **more}  # fmt: skip

    def test_tensors_in_json(self, client, alone):
        want = alone.predict(TEXTS, adapter="reviews")
        found = posted(client, "/v2/models/reviews/infer", self.body(TEXTS, id="7"))
        assert (found["model_name"], found["id"]) == ("reviews", "7")
        tensors = {each["name"]: each for each in found["outputs"]}
        assert tensors["prediction"]["data"] == [each.label for each in want]
        assert tensors["scores"]["shape"] == [3, 2]
        flat = [score for each in want for score in each.scores.values()]
        assert tensors["scores"]["data"] == pytest.approx(flat, abs=1e-5)
        documents = [json.loads(each) for each in tensors["document"]["data"]]
        assert [each["prediction"] for each in documents] == [each.label for each in want]

    def test_tensors_in_bytes(self, client):
        """As Triton's clients send and want them unless they are told otherwise."""
        data = binary(TEXTS)
        head = json.dumps({
            "inputs": [{"name": "text", "shape": [3, 1], "datatype": "BYTES",
                        "parameters": {"binary_data_size": len(data)}}],
            "parameters": {"binary_data_output": True},
            "outputs": [{"name": "scores"},
                        {"name": "prediction", "parameters": {"binary_data": False}}],
        }).encode()  # fmt: skip
        headers = {"inference-header-content-length": str(len(head))}
        path = "/v2/models/reviews/versions/1/infer"
        response = client.post(path, content=head + data, headers=headers)
        assert response.status_code == 200, response.text
        size = int(response.headers["inference-header-content-length"])
        scores, prediction = json.loads(response.content[:size])["outputs"]
        raw = response.content[size:]
        assert scores["parameters"]["binary_data_size"] == len(raw) == 3 * 2 * 4
        plain = posted(client, "/v2/models/reviews/infer", self.body(TEXTS))["outputs"]
        assert np.frombuffer(raw, "<f4").tolist() == pytest.approx(plain[2]["data"], abs=1e-6)
        assert prediction["data"] == plain[0]["data"]

    def test_pairs_are_two_columns_or_two_tensors(self, client, alone):
        (want,) = alone.predict([("good 1", "bad 2")], adapter="pairs")
        (sure,) = probabilities(alone, "pairs", [("good 1", "bad 2")])
        wide = {"inputs": [{"name": "text", "shape": [1, 2], "datatype": "BYTES",
                            "data": [["good 1", "bad 2"]]}]}  # fmt: skip
        named = [
            {"name": name, "shape": [1], "datatype": "BYTES", "data": [text]}
            for name, text in (("text", "good 1"), ("text_pair", "bad 2"))
        ]
        columns = [alone.predictor("pairs").manifest.column(name) for name in ("text", "text_pair")]
        trained = [tensor | {"name": name} for tensor, name in zip(named, columns, strict=True)]
        others = [tensor | {"name": name} for tensor, name in zip(named, "ab", strict=True)]
        for tensors in ([wide["inputs"][0]], named, named[::-1], trained, trained[::-1], others):
            found = posted(client, "/v2/models/pairs/infer", {"inputs": tensors})
            assert found["outputs"][0]["data"] == [want.label]
            assert found["outputs"][2]["data"] == pytest.approx([*sure.values()], abs=1e-5)
        for tensors in ([named[0], trained[1]], [trained[1], named[0]]):
            found = posted(client, "/v2/models/pairs/infer", {"inputs": tensors})
            assert found["outputs"][2]["data"] == pytest.approx([*sure.values()], abs=1e-5)
        for tensors in ([named[1], others[0]], [named[0], trained[0]]):
            posted(client, "/v2/models/pairs/infer", {"inputs": tensors}, 400)

    def test_every_task(self, client):
        for name, texts in (("tagger", ["good tasty"]), ("several", ["good"]), ("stars", ["good"])):
            found = posted(client, f"/v2/models/{name}/infer", self.body(texts))
            assert json.loads(found["outputs"][0]["data"][0]) is not None

    def test_what_there_is(self, client):
        assert client.get("/v2/health/live").json() == {"live": True}
        assert client.get("/v2/health/ready").json() == {"ready": True}
        assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
        known = client.get("/v2/models/reviews").json()
        assert known["outputs"][-1] == {"name": "scores", "datatype": "FP32", "shape": [-1, 2]}
        assert client.get("/v2/models/reviews/ready").status_code == 200
        assert client.get("/v2/models/reviews/versions/1/ready").status_code == 200
        for path in (
            "/v2/models/nobody",
            "/v2/models/nobody/ready",
            "/v2/models/reviews/versions/2",
        ):
            assert list(client.get(path).json()) == ["error"]
            assert client.get(path).status_code == 404

    @pytest.mark.parametrize("change", [
        {"shape": [2]}, {"datatype": "FP32"}, {"data": [1]}, {"shape": [-1]}, {"shape": []},
        {"shape": [1, 1, 1]}, {"shape": [1, 3]}, {"data": None},
        {"data": None, "parameters": {"binary_data_size": 5}},
        {"parameters": {"binary_data_size": True}}, {"parameters": {"binary_data_size": -1}},
        {"shape": [0, 10**30], "data": []}, {"shape": [1, 0], "data": []},
    ])  # fmt: skip
    def test_tensors_that_do_not_fit(self, client, change):
        body = self.body(["a"])
        body["inputs"][0] |= change
        assert list(posted(client, "/v2/models/reviews/infer", body, 400)) == ["error"]

    def test_an_output_is_asked_for_once(self, client):
        body = self.body(["a"]) | {"outputs": [{"name": "prediction"}] * 2}
        posted(client, "/v2/models/reviews/infer", body, 400)

    @pytest.mark.parametrize(
        "raw", [b"\x05\0\0\0ab", b"\x01\0", b"\x01\0\0\0\xff", b"\0\0\0\0more"]
    )
    def test_bytes_that_are_no_texts(self, client, raw):
        head = json.dumps({"inputs": [{"name": "t", "shape": [1], "datatype": "BYTES",
                                       "parameters": {"binary_data_size": len(raw)}}]})  # fmt: skip
        for size in (len(head), len(head) + 99):
            response = client.post(
                "/v2/models/reviews/infer", content=head.encode() + raw,
                headers={"inference-header-content-length": str(size)},
            )  # fmt: skip
            assert response.status_code == 400


class TestOwn:
    def test_a_text_for_many(self, client, alone):
        names = ["reviews", "stars", "several", "tagger"]
        body = {"texts": TEXTS, "adapters": names}
        found = posted(client, "/v1/predict", body)["predictions"]
        assert list(found) == names
        for name in names:
            task = alone.predictor(name).task
            documents = [task.document(each) for each in alone.predict(TEXTS, adapter=name)]
            want = json.loads(json.dumps(documents))
            for said, wanted in zip(found[name], want, strict=True):
                assert said["prediction"] == wanted["prediction"] or name == "stars"
                if name in ("reviews", "several"):
                    assert said["scores"] == pytest.approx(wanted["scores"], abs=1e-5)

    def test_sure_answers(self, client):
        body = {"texts": ["good"], "adapters": ["reviews"], "min_score": 1, "otherwise": "ask"}
        (said,) = posted(client, "/v1/predict", body)["predictions"]["reviews"]
        assert said["prediction"] == "ask"
        assert said["best"] in said["scores"]
        refused = posted(client, "/v1/predict", body | {"min_score": None}, 422)["error"]
        assert "`otherwise` needs `min_score`" in refused["message"]
        posted(client, "/v1/predict", body | {"adapters": ["tagger"]}, 422)
        posted(client, "/v1/predict", body | {"min_score": 1.5}, 422)

    def test_pairs_and_questions(self, client):
        body = {"texts": [["good 1", "bad 2"]], "adapters": ["pairs", "reader", "relevant"]}
        assert set(posted(client, "/v1/predict", body)["predictions"]) == set(body["adapters"])
        posted(client, "/v1/predict", body | {"texts": [["a", "b", "c"]]}, 422)
        posted(client, "/v1/predict", body | {"texts": []}, 422)
        posted(client, "/v1/predict", body | {"adapters": ["reviews", "pairs"]}, 422)

    def test_what_the_server_holds(self, client, adapters):
        held = client.get("/v1/adapters").json()
        assert [each["name"] for each in held["adapters"]] == sorted(
            each.name for each in adapters.iterdir()
        )
        assert held["backbone"]
        one = client.get("/v1/adapters/reader").json()
        assert (one["inputs"], one["input_names"]) == (2, ["question", "context"])
        assert client.get("/v1/adapters/nobody").status_code == 404

    def test_metrics(self, client):
        posted(client, "/v1/predict", {"texts": ["good"], "adapters": ["reviews"]})
        response = client.get("/metrics")
        assert response.headers["content-type"].startswith("text/plain")
        text = response.text
        for name in (
            'lora_bert_requests_total{protocol="lora-bert",status="200"}',
            'lora_bert_rows_total{adapter="reviews"}', "lora_bert_queue_tokens 0.0",
            "lora_bert_loaded_adapters", "lora_bert_batch_fill_count",
            "lora_bert_requests_in_flight",
            'lora_bert_request_seconds_count{adapter="reviews"}', "lora_bert_computed_rows_total",
        ):  # fmt: skip
            assert name in text
