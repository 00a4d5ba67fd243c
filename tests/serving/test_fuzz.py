"""Whatever is sent, only documented answers come, in the protocol's own shape."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KNOWN = {200, 400, 404, 413, 415, 422, 424}
WORDS = st.sampled_from([
    "inputs", "input", "texts", "text", "model", "adapters", "parameters", "top_k", "truncate",
    "query", "documents", "queries", "shape", "data", "name", "datatype", "outputs", "question",
    "context", "text_pair", "raw_scores", "priority", "id", "request_id", "min_score", "BYTES",
    "reviews", "pairs", "reader", "tagger", "good", "binary_data_size", "function_to_apply",
    "\ud800",
])  # fmt: skip
VALUES = st.recursive(
    st.one_of(WORDS, st.text(max_size=20), st.integers(-3, 300), st.booleans(), st.none(),
              st.floats(allow_nan=False)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=12,
)  # fmt: skip
BODIES = st.one_of(
    st.binary(max_size=60),
    VALUES.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(WORDS, VALUES, max_size=6).map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {"inputs": VALUES}, optional={"parameters": VALUES, "truncate": VALUES, "model": VALUES}
    ).map(lambda value: json.dumps(value).encode()),
)
PATHS = [
    "/adapters/reviews/predict", "/adapters/relevant/rerank", "/adapters/reviews/tokenize",
    "/classify", "/adapters/reviews/classify", "/score", "/rerank", "/models/reviews",
    "/models/tagger", "/models/reader", "/v2/models/reviews/infer", "/v2/models/pairs/infer",
    "/v1/predict", "/",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES, length=st.none() | st.integers(-5, 80))
def test_bodies_of_any_kind(client, path, body, length):
    headers = {} if length is None else {"inference-header-content-length": str(length)}
    response = client.post(path, content=body, headers=headers)
    assert response.status_code in KNOWN, response.text
    if "octet-stream" not in response.headers["content-type"]:
        said = json.loads(response.content, parse_constant=pytest.fail)
        assert response.status_code == 200 or "error" in said


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(min_size=1, max_size=30), header=st.text(max_size=20))
def test_names_of_any_kind(client, name, header):
    from urllib.parse import quote

    path = f"/adapters/{quote(name, safe='')}/predict"
    headers = {"x-request-id": header.encode("utf-8", "replace")} if header.isprintable() else {}
    response = client.post(path, json={"inputs": "good"}, headers=headers)
    assert response.status_code in {404, 200} or name in ("reviews", ".", "..")
