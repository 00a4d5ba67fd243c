"""Bodies that nobody should send: those of each protocol, changed here and there."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.soaking.adapters import PAIRS, READER, STEADY, TAGGER

ONE = STEADY[0]
_TEXTS = ["很快，好吃", "fine", "", "a\0b", "\ud83d", "😀" * 40, "x " * 3000, "x" * 100_001]
_VALUES: Sequence[Any] = (
    None, True, False, 0, -1, 1, 3, 2**31, 2**63, 10**400, 1.5, -1e308, "", "fine", "\ud800", [],
    {}, [[]], [None], ["a", 1], [["a"], "b"], [["a", "b"]], [0, 1, 2], {"text": "a"}, ["a"] * 300,
    {"question": "?", "context": "fine"}, {"text": "a", "text_pair": "b"}, "BYTES", ONE, PAIRS,
    TAGGER, READER, "..", "/etc", "a/b", "none", "simple", "sigmoid",
)  # fmt: skip
_WORDS = ("inputs", "input", "texts", "adapters", "model", "parameters", "truncate", "raw_scores",
          "query", "documents", "queries", "text_1", "text_2", "top_n", "top_k", "data", "shape",
          "datatype", "outputs", "name", "id", "truncate_prompt_tokens", "priority", "min_score",
          "otherwise", "aggregation", "lora_name", "lora_path", "binary_data_size", "user",
          "function_to_apply", "aggregation_strategy", "max_answer_len")  # fmt: skip
_LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class Protocol:
    """Paths of a protocol, each with bodies that are right, and the statuses it has beside 200."""

    bodies: Mapping[str, Sequence[Any]]
    statuses: frozenset[int]


def _tensor(**more: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"], **more}]}


_COMMON = frozenset({400, 404, 413, 422})
_NOT_422 = frozenset({400, 404, 413})
PROTOCOLS: Mapping[str, Protocol] = {
    "lora-bert": Protocol({
        "/v1/predict": (
            {"texts": ["a"], "adapters": [ONE]}, {"texts": ["a"], "adapters": [ONE, TAGGER]},
            {"texts": [["a", "b"]], "adapters": [READER, PAIRS], "truncate": False},
            {"texts": ["a", "b"], "adapters": [ONE], "min_score": 0.5, "otherwise": "other"},
        ),
    }, _COMMON),
    "text-embeddings-inference": Protocol({
        f"/adapters/{ONE}/predict": ({"inputs": "a"}, {"inputs": [["a"], ["b"]]},
                                     {"inputs": "a", "truncate": False, "raw_scores": True}),
        f"/adapters/{PAIRS}/predict": ({"inputs": ["a", "b"]},),
        f"/adapters/{PAIRS}/rerank": ({"query": "a", "texts": ["b", "c"], "return_text": True},),
        f"/adapters/{ONE}/tokenize": ({"inputs": ["a", "b"], "add_special_tokens": False},),
        "/rerank": ({"query": "a", "texts": ["b"]},),
    }, _COMMON),
    "vllm": Protocol({
        "/classify": ({"model": ONE, "input": ["a", "b"]}, {"model": ONE, "input": [0, 7, 2]},
                      {"model": ONE, "input": "a", "truncate_prompt_tokens": 3,
                       "use_activation": False}),
        "/score": ({"model": PAIRS, "queries": "a", "documents": ["b", "c"]},
                   {"model": PAIRS, "text_1": ["a", "b"], "text_2": ["c", "d"]}),
        "/v1/rerank": ({"model": PAIRS, "query": "a", "documents": ["b", "c"], "top_n": 1},),
    }, _NOT_422),
    "semantic-router": Protocol({
        f"/adapters/{ONE}/classify": ({"inputs": "a"},),
        "/classify": ({"inputs": "a", "model": ONE},),
    }, _NOT_422),
    "hugging-face": Protocol({
        f"/models/{ONE}": ({"inputs": "a", "parameters": {"top_k": 1}},
                           {"inputs": ["a"], "parameters": {"function_to_apply": "sigmoid"}}),
        f"/models/{TAGGER}": ({"inputs": "a b", "parameters": {"aggregation_strategy": "none"}},),
        f"/models/{READER}": ({"inputs": {"question": "?", "context": "a b"},
                               "parameters": {"top_k": 2, "max_answer_len": 3}},),
    }, _COMMON),
    "kserve": Protocol({
        f"/v2/models/{ONE}/infer": (_tensor(), _tensor(shape=[1, 1]),
                                    {**_tensor(), "outputs": [{"name": "scores"}]},
                                    _tensor(parameters={"binary_data_size": 5}, data=None)),
        f"/v2/models/{PAIRS}/infer": (_tensor(shape=[1, 2], data=["a", "b"]),),
        f"/v2/models/{TAGGER}/infer": (_tensor(),),
    }, _NOT_422),
    "administration": Protocol({
        "/v1/load_lora_adapter": ({"lora_name": "fuzzed", "lora_path": "nowhere"},
                                  {"lora_name": "fuzzed", "lora_path": "nowhere",
                                   "load_inplace": True}),
        "/v1/unload_lora_adapter": ({"lora_name": "nobody"},),
    }, _NOT_422),
}  # fmt: skip


def fuzzed(protocol: Protocol, chance: random.Random) -> tuple[str, bytes, str]:
    """A path, a body that is a right one with faults in it, and a line of the head or none."""
    path = chance.choice(list(protocol.bodies))
    body = copy.deepcopy(chance.choice(protocol.bodies[path]))
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        body = _changed(body, chance)
    raw = json.dumps(body, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    if chance.random() < 0.3:
        raw = _damaged(raw, chance)
    if path.endswith("/infer") and chance.random() < 0.3:
        length = chance.choice((len(raw) - 5, len(raw), len(raw) + 1, 0, -1, 10**30, "x"))
        return path, raw, f"{_LENGTH}: {length}\r\n"
    return path, raw, ""


def _changed(value: Any, chance: random.Random) -> Any:
    """The value with another one somewhere in it."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice(list(value))
        how = chance.random()
        if how < 0.1:
            del value[key]
        elif how < 0.2:
            value[chance.choice(_WORDS)] = copy.deepcopy(chance.choice(_VALUES))
        else:
            value[key] = _changed(value[key], chance)
        return value
    if isinstance(value, list) and value and chance.random() < 0.6:
        at = chance.randrange(len(value))
        value[at] = _changed(value[at], chance)
        return value
    if isinstance(value, str) and chance.random() < 0.4:
        return chance.choice(_TEXTS)
    return copy.deepcopy(chance.choice(_VALUES))


def _damaged(raw: bytes, chance: random.Random) -> bytes:
    """Bytes that are no longer what they were, and mostly no JSON."""
    at, how = chance.randrange(len(raw) + 1), chance.randrange(6)
    if how == 0:
        return raw[:at]
    if how == 1:
        return raw[:at] + bytes(chance.randrange(256) for _ in range(4)) + raw[at:]
    if how == 2:
        return raw[:at] + chance.choice((b"NaN", b"1e999", b"[" * 20_000, b"{", b'"')) + raw[at:]
    if how == 3:
        return bytes(chance.randrange(256) for _ in range(chance.randrange(60)))
    if how == 4:
        return raw.decode("utf-8", "ignore").encode("utf-16")
    return raw + raw
