"""Every directory we write opens in transformers 4.57 too, and says the same there.

``$LORA_BERT_TRANSFORMERS_4`` names a directory that holds it (``pip install --target DIR --no-deps
transformers==4.57.6 tokenizers==0.22.2 huggingface-hub==0.36.0``); ``scripts/test`` makes one.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

import lora_bert
from lora_bert.adapters.loading import load_any
from lora_bert.adapters.open_backbone import open_backbone
from lora_bert.backbones.families.registry import read_encoder_config
from lora_bert.inference.engines.engine import answer
from lora_bert.inference.engines.torch_engine import TorchEngine
from lora_bert.model.forward import trunk
from lora_bert.tokens.batching import TokenBatch
from lora_bert.tokens.tokenizer import load_tokenizer
from tests.conftest import absent
from tests.oracle import elsewhere, rows_of
from tests.tiny import FAMILIES

TEXTS = [
    "good tasty 7",
    "很好吃！",
    "bad, awful... slow slow late cold",
    "“太慢了”——3",
    "",
    "ABC good",
]
OLDER = """
import json, sys
sys.modules["peft"] = sys.modules["lora_bert"] = None
import torch, transformers
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer
assert transformers.__version__.startswith("4.57"), transformers.__version__
tokenizers, classifiers, encoders, texts = json.loads(sys.argv[1])
found = {"ids": {}, "logits": {}, "hidden": {}}
for path in tokenizers:
    tokenizer = AutoTokenizer.from_pretrained(path)
    found["ids"][path] = [tokenizer(texts, truncation=True).input_ids, tokenizer.pad_token_id]
for kind, paths, auto in (
    ("logits", classifiers, AutoModelForSequenceClassification), ("hidden", encoders, AutoModel)
):
    for path in paths:
        model = auto.from_pretrained(path, dtype=torch.float32).eval()
        tokenizer = AutoTokenizer.from_pretrained(path)
        tokens = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        with torch.no_grad():
            answer = model(**tokens)
        if kind == "logits":
            found[kind][path] = [answer.logits.tolist(), model.config.id2label]
        else:
            found[kind][path] = answer.last_hidden_state[:, 0].tolist()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def cleaning(tiny_backbone, reviews, tmp_path_factory):
    """An adapter whose tokenizer cleans, merged too."""
    place = tmp_path_factory.mktemp("cleaning")
    lora_bert.train(
        reviews, backbone=str(tiny_backbone), output=place / "adapter", epochs=1, clean=True
    )
    lora_bert.merge(place / "adapter", place / "merged")
    return place


@pytest.fixture(scope="module")
def embedded():
    return lora_bert.backbone_path()


@pytest.fixture(scope="module")
def older(trained, cleaning, embedded):
    """What transformers 4.57 says of all of them."""
    place = os.environ.get("LORA_BERT_TRANSFORMERS_4")
    if not place or not Path(place, "transformers").is_dir():
        absent("transformers 4.57 not here: set $LORA_BERT_TRANSFORMERS_4 (scripts/test does)")
    directories = [*trained.values(), cleaning]
    tokenizers = [str(path / kind) for path in directories for kind in ("adapter", "merged")]
    classifiers = [str(path / "merged") for path in directories]
    asked = [[*tokenizers, str(embedded)], classifiers, [str(embedded)], TEXTS]
    return elsewhere(OLDER, json.dumps(asked), PYTHONPATH=place)


def ids_here(path):
    tokenizer = lora_bert.load(path).tokenizer
    encodings = tokenizer.encode(TEXTS)
    return rows_of(encodings), tokenizer.pad_id


@pytest.mark.parametrize("kind", ["adapter", "merged"])
@pytest.mark.parametrize("name", [*FAMILIES, "cleaning"])
def test_tokenizers_give_our_ids(name, kind, older, trained, cleaning):
    path = {**trained, "cleaning": cleaning}[name] / kind
    ids, pad_id = ids_here(path)
    assert older["ids"][str(path)] == [ids, pad_id]


def test_cleaning_cleans_there(older, trained, cleaning):
    assert older["ids"][str(cleaning / "merged")] != older["ids"][str(trained["bert"] / "merged")]


@pytest.mark.parametrize("name", [*FAMILIES, "cleaning"])
def test_merged_models_give_our_logits(name, older, trained, cleaning):
    path = {**trained, "cleaning": cleaning}[name]
    scores, labels = older["logits"][str(path / "merged")]
    loaded = load_any(path / "adapter")
    encodings = loaded.tokenizer.encode(TEXTS)
    engine = TorchEngine(loaded.backbone, loaded.adapter)
    ours = torch.from_numpy(answer(engine, encodings, batch_size=3))
    torch.testing.assert_close(ours, torch.tensor(scores), rtol=1e-4, atol=1e-5)
    assert labels == {"0": "negative", "1": "positive"}


def test_the_embedded_backbone_opens_there(older, embedded):
    config = read_encoder_config(embedded)
    tokenizer = load_tokenizer(embedded, config, max_length=512)
    encodings = tokenizer.encode(TEXTS)
    ids, pad_id = older["ids"][str(embedded)]
    assert rows_of(encodings) == ids
    assert tokenizer.pad_id == pad_id == 1
    backbone = open_backbone(str(embedded)).backbone
    for row, expected in enumerate(older["hidden"][str(embedded)]):
        hidden = trunk(backbone, TokenBatch.of(encodings, [row]), 12)
        torch.testing.assert_close(hidden[0], torch.tensor(expected), rtol=1e-4, atol=1e-4)
