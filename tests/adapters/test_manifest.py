"""``lora_bert.json``: round trips, and what is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.adapters.manifest import SCHEMA, Manifest, read_manifest
from lora_bert.errors import AdapterError

LABEL = st.text(st.characters(codec="utf-8"), min_size=1, max_size=10)
GOOD = {
    "schema_version": SCHEMA,
    "labels": ["no", "yes"],
    "max_length": 64,
    "backbone": {"name": "b"},
}


def written(path, **changed):
    path.write_text(json.dumps(GOOD | changed))
    return path


@given(
    labels=st.lists(LABEL, min_size=2, max_size=6, unique=True),
    length=st.integers(3, 8192),
    clean=st.booleans(),
    names=st.dictionaries(LABEL, LABEL, max_size=3),
)
def test_round_trip(tmp_path_factory, labels, length, clean, names):
    path = tmp_path_factory.mktemp("manifest") / "lora_bert.json"
    manifest = Manifest(
        tuple(labels), length, {"name": "b", "revision": None}, label_names=names, clean=clean
    )
    path.write_text(manifest.to_json(), encoding="utf-8")
    assert read_manifest(path) == manifest


def test_keys_of_a_later_release_are_no_hindrance(tmp_path):
    found = read_manifest(written(tmp_path / "m.json", mood="sunny"))
    assert found.labels == ("no", "yes")
    assert found.backbone_name == "b"


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"schema_version": 2}, "schema version 2; lora-bert .* reads 1"),
        ({"schema_version": None}, "schema version None"),
        ({"labels": None}, "'labels' is missing or not a list"),
        ({"labels": ["one"]}, "at least two strings"),
        ({"labels": [0, 1]}, "'labels' must be strings"),
        ({"labels": ["same", "same"]}, "the same label twice"),
        ({"max_length": "64"}, "'max_length' is missing or not a int"),
        ({"backbone": "b"}, "'backbone' is missing or not a dict"),
        ({"data": []}, "'data' is missing or not a dict"),
        ({"combined": {}}, "'combined' is missing or not a list"),
        ({"combined": ["a"]}, "'combined' holds something else than adapters"),
        ({"combined": [{"adapter": "a", "share": "0.5"}]}, "'combined' holds something else"),
        ({"combined": [{"adapter": "a", "combined": [{}]}]}, "'combined' holds something else"),
        ({"task": "summarization"}, "task 'summarization' is not supported"),
    ],
)
def test_what_is_refused(changed, sentence, tmp_path):
    with pytest.raises(AdapterError, match=sentence):
        read_manifest(written(tmp_path / "m.json", **changed))


def test_a_byte_order_mark_is_no_hindrance_and_a_number_may_be_too_long(tmp_path):
    path = written(tmp_path / "m.json")
    path.write_text(f"\ufeff{path.read_text()}", encoding="utf-8")
    assert read_manifest(path).labels == ("no", "yes")
    path.write_text(json.dumps(GOOD).replace("64", "9" * 5000))
    with pytest.raises(AdapterError, match=r"m\.json' holds a number with more digits"):
        read_manifest(path)


def test_a_newer_schema_asks_for_an_update(tmp_path):
    with pytest.raises(AdapterError) as caught:
        read_manifest(written(tmp_path / "m.json", schema_version=99))
    assert caught.value.hint == "Update lora-bert."
