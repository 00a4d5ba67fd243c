"""Texts that are longer than is read at once: cut, or read in windows whose outputs are joined."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

import lora_bert
from lora_bert.adapters.manifest import read_manifest
from lora_bert.cli.app import cli
from lora_bert.data.texts import TextPairs
from lora_bert.errors import AdapterError, ConfigError
from lora_bert.inference.stream import predict_file
from lora_bert.runtime.threads import workers
from lora_bert.tasks.single_label import SingleLabel
from lora_bert.tasks.word_targets import of_rows, of_words
from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.training.gradients import Gradients
from lora_bert.training.tokenize_rows import Tokens
from lora_bert.training.trunk_states import TrunkBatches
from tests.oracle import random_adapter, tiny_engine

LENGTH, STRIDE = 16, 4
GOOD, BAD = "good tasty hot fast fine".split(), "bad awful cold slow late".split()
LONG = " ".join(GOOD * 9)
TEXTS = ["good", LONG, "", "bad cold " * 7, LONG[:60], " ".join(BAD * 40)]
PAIRS = [("good", LONG), (LONG, "bad late"), ("good", "bad"), ("", LONG), ("late " * 20, "x")]


def sentence(number: int) -> str:
    """Words of one kind, up to 40 of them, the last ones of it alone."""
    words, count = (GOOD, BAD)[number % 2], 1 + number * 7 % 40
    return " ".join(words[(number + at) % 5] for at in range(count))


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rows(task: str) -> list[dict]:
    """48 rows of a task, many of which are long."""
    made = []
    for number in range(48):
        text, kind = sentence(number), "good bad".split()[number % 2]
        if task == "single-label":
            made.append({"text": text, "label": kind})
        elif task == "multi-label":
            made.append({"text": text, "labels": [kind, "many"] if number % 3 else [kind]})
        elif task == "regression":
            made.append({"text": text, "label": 5 * (number % 2) + number / 100})
        elif task == "relevance":
            pair = {"query": "good", "passage": text}
            made.append({**pair, "label": 1 - number % 2})
        else:
            words = text.split()
            tags = ["B-FOOD" if word in ("tasty", "cold") else "O" for word in words]
            made.append({"tokens": words, "tags": tags})
    return made


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_backbone):
    """The adapter of a task that reads windows, and the model it is merged into."""
    place, made = tmp_path_factory.mktemp("windows"), {}

    def call(task: str) -> tuple[Path, Path]:
        if task not in made:
            home = place / task
            home.mkdir()
            lora_bert.train(
                write(home / "rows.jsonl", rows(task)), task=task, backbone=str(tiny_backbone),
                output=home / "adapter", max_length=LENGTH, overflow="windows", epochs=1,
                batch_size=8, learning_rate=0.03, dtype="float32",
            )  # fmt: skip
            lora_bert.merge(home / "adapter", home / "merged")
            made[task] = home / "adapter", home / "merged"
        return made[task]

    return call


def windows_of(tokenizer, text, **more):
    """The windows of a text, or of a pair, as plain transformers makes them."""
    first, second = (text, None) if isinstance(text, str) else text
    cut = "only_first" if second is None or len(first) > len(second) else "only_second"
    made = tokenizer(
        first, second, truncation=cut, max_length=LENGTH, stride=STRIDE, padding=True,
        return_overflowing_tokens=True, return_tensors="pt", **more,
    )  # fmt: skip
    made.pop("overflow_to_sample_mapping")
    return made


@pytest.mark.parametrize("task", ["single-label", "multi-label", "regression", "relevance"])
def test_the_mean_of_the_windows_outputs_is_answered(task, trained, tmp_path):
    adapter, merged = trained(task)
    texts = PAIRS if task == "relevance" else TEXTS
    model = AutoModelForSequenceClassification.from_pretrained(merged).eval()
    tokenizer = AutoTokenizer.from_pretrained(merged)
    with torch.no_grad():
        outputs = torch.stack(
            [model(**windows_of(tokenizer, text)).logits.mean(dim=0) for text in texts]
        )
    values = {"single-label": outputs.softmax(1), "regression": outputs}
    expected = values.get(task, outputs.sigmoid()).numpy()
    for place in (adapter, merged):
        predictor = lora_bert.load(place, dtype="float32")
        assert predictor.tokenizer.encode(texts).row_count == len(texts)
        np.testing.assert_allclose(predictor.values(texts), expected, rtol=1e-5, atol=1e-5)
        assert len(predictor.predict(texts)) == len(texts)
    names: dict = {}
    exec(recipe(merged), names)
    ask = names["outputs"]
    said = [ask(text) if isinstance(text, str) else ask(*text) for text in texts]
    np.testing.assert_allclose(torch.stack(said).numpy(), expected, rtol=1e-5, atol=1e-5)


def recipe(merged: Path) -> str:
    """The lines of the card that read windows with plain transformers."""
    card = (merged / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)\n```", card, re.S)
    (code,) = [block for block in blocks if "return_overflowing_tokens" in block]
    return code.replace("THIS_DIRECTORY", str(merged))


def test_a_word_has_the_tag_of_the_window_in_which_it_is_most_central(trained):
    adapter, merged = trained("token-tagging")
    model = AutoModelForTokenClassification.from_pretrained(merged).eval()
    tokenizer = AutoTokenizer.from_pretrained(merged)
    names: dict = {}
    exec(recipe(merged), names)
    for place in (adapter, merged):
        predictor = lora_bert.load(place, dtype="float32")
        for text, each in zip(TEXTS, predictor.values(TEXTS), strict=True):
            words = text.split()
            windows = windows_of(tokenizer, text, return_offsets_mapping=True)
            places = windows.pop("offset_mapping").tolist()
            with torch.no_grad():
                said = model(**windows).logits.softmax(dim=-1)
            best: dict[int, tuple[int, torch.Tensor]] = {}
            for row, spans in enumerate(places):
                inside = [at for at, (start, end) in enumerate(spans) if end > start]
                for at in inside:
                    before = at - inside[0] if row else LENGTH
                    after = inside[-1] - at if row + 1 < len(places) else LENGTH
                    central = min(before, after)
                    if central > best.get(spans[at][0], (-1,))[0]:
                        best[spans[at][0]] = central, said[row, at]
            assert [text[start:end] for start, end in each.spans.tolist()] == words
            if words:
                expected = torch.stack([best[start][1] for start in sorted(best)]).numpy()
                np.testing.assert_allclose(each.probabilities, expected, atol=1e-5)
        first = [
            tag for each in predictor.predict([LONG], aggregation="first") for tag in each.tags
        ]
        assert [tag for _, tag in names["tag"](LONG)] == first
        cut = predictor.values([LONG])[0].probabilities
        assert len(cut) == 45


def test_each_word_is_learned_once_and_scored_once(trained, tmp_path):
    adapter, _ = trained("token-tagging")
    predictor = lora_bert.load(adapter)
    made = rows("token-tagging")
    text = " ".join(made[5]["tokens"])
    tokens = predictor.tokenizer.encode([text, "good", text])
    assert len(tokens) > tokens.row_count == 3

    class Examples:
        texts = (text, "good", text)
        labels = ("[]", '[[0, 4, "FOOD"]]', "[]")

    targets = predictor.task.targets(Examples, tokens)  # type: ignore[arg-type]
    assert len(targets) == len(tokens)
    assert predictor.task.weight(targets) == 2 * len(made[5]["tokens"]) + 1
    counts = [len(of_words(row)) for row in of_rows(targets)]
    assert counts == [len(made[5]["tokens"]), 1, len(made[5]["tokens"])]
    scores = lora_bert.evaluate(adapter, write(tmp_path / "a.jsonl", made), part="auto").scores
    assert scores.rows == 48
    assert scores.words == sum(len(row["tokens"]) for row in made)


def test_all_rows_count_alike_however_many_windows_they_have(trained):
    adapter, _ = trained("single-label")
    predictor, texts = lora_bert.load(adapter), [LONG, "good", "bad " * 20]
    tokens = predictor.tokenizer.encode(texts)
    made = Tokens(tokens, np.array([1, 0, 1]))
    counts = np.diff(tokens.begins)
    assert made.by_row
    assert counts.tolist() == [5, 1, 2]
    assert made.window_targets.tolist() == [1] * 5 + [0] + [1] * 2
    assert made.shares.tolist() == pytest.approx([0.2] * 5 + [1] + [0.5] * 2)
    assert made.mean_share * len(made) == 3
    some, each = made.windows_of(np.array([2, 0]))
    assert (some.tolist(), each.tolist()) == ([6, 7, 0, 1, 2, 3, 4], [2, 5])
    plain = Tokens(predictor.tokenizer.encode(["good", "bad"]), np.array([0, 1]))
    assert (plain.by_row, plain.shares, plain.mean_share) == (False, None, 1)


def test_the_gradient_of_a_text_is_the_mean_of_its_windows_gradients():
    backbone, task = tiny_engine("bert"), SingleLabel(("a", "b"))
    adapter = random_adapter(backbone, labels=2)
    for tensor in adapter.tensors:
        tensor.requires_grad_()
    ids = [[0, 5 + at, 30 + at, 2] for at in range(4)]
    hidden = TrunkBatches(backbone, TokenizedTexts.of(ids, pad_id=1), adapter.depth)
    targets, lengths = np.array([1, 1, 1, 0]), np.full(4, 4)

    def gradient(chosen: list[int], shares: np.ndarray | None) -> tuple[float, torch.Tensor]:
        with workers(1, device=backbone.device) as threads:
            compute = Gradients(
                backbone, adapter, hidden, lengths, targets, task, threads, seed=0, shares=shares
            )
            loss = compute([np.array(chosen)], weight=1.0, step=1)
        grads = [tensor.grad.flatten().clone() for tensor in adapter.tensors]
        for tensor in adapter.tensors:
            tensor.grad = None
        return loss, torch.cat(grads)

    loss, found = gradient([0, 1, 2, 3], np.array([1 / 3, 1 / 3, 1 / 3, 1], dtype=np.float32))
    alone = [gradient([row], None) for row in range(4)]
    weights = (1 / 3, 1 / 3, 1 / 3, 1)
    assert loss == pytest.approx(sum(w * each[0] for w, each in zip(weights, alone, strict=True)))
    expected = sum(w * each[1] for w, each in zip(weights, alone, strict=True))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_it_belongs_to_the_adapter(trained, tmp_path):
    adapter, merged = trained("single-label")
    assert read_manifest(adapter / "lora_bert.json").stride == STRIDE
    outcome = CliRunner().invoke(cli, ["info", str(merged), "--json"])
    facts = json.loads(outcome.stdout)
    assert (facts["overflow"], facts["stride"], facts["max_length"]) == ("windows", STRIDE, LENGTH)
    card = (adapter / "README.md").read_text(encoding="utf-8")
    assert "more than 16 tokens is read in windows of so many, which share 4" in card
    assert "--overflow windows" in card
    # Whoever does not say so cuts, as adapters did before there was a choice.
    cut = shutil.copytree(adapter, tmp_path / "cut")
    written = json.loads((cut / "lora_bert.json").read_text())
    del written["stride"]
    (cut / "lora_bert.json").write_text(json.dumps(written))
    ours, theirs = lora_bert.load(adapter, dtype="float32"), lora_bert.load(cut, dtype="float32")
    assert theirs.manifest.overflow == "cut"
    assert len(theirs.tokenizer.encode(TEXTS)) == len(TEXTS)
    short = ["good bad", "", "late"]
    np.testing.assert_array_equal(ours.values(short), theirs.values(short))
    assert np.abs(ours.values([LONG + " bad" * 60]) - theirs.values([LONG + " bad" * 60])).max() > 0
    for wrong in (-1, LENGTH, "4"):
        written["stride"] = wrong
        (cut / "lora_bert.json").write_text(json.dumps(written))
        with pytest.raises(AdapterError, match="'stride' is"):
            lora_bert.load(cut)


def test_whatever_answers_reads_windows(trained, tmp_path):
    adapter, _ = trained("single-label")
    predictor = lora_bert.load(adapter, dtype="float32")
    expected = predictor.values(TEXTS)
    session = lora_bert.Session(predictor.places[1], dtype="float32")
    session.add(adapter, "a")
    np.testing.assert_array_equal(session.values(TEXTS, adapter="a"), expected)
    alone = np.concatenate(list(predictor.stream([text] for text in TEXTS)))
    np.testing.assert_allclose(alone, expected, atol=1e-5)
    write(tmp_path / "a.jsonl", [{"text": text} for text in TEXTS if text])
    predict_file(predictor, tmp_path / "a.jsonl", tmp_path / "b.csv")
    with (tmp_path / "b.csv").open(encoding="utf-8", newline="") as stream:
        found = [
            [float(row["prob_bad"]), float(row["prob_good"])] for row in csv.DictReader(stream)
        ]
    np.testing.assert_allclose(found, np.delete(expected, 2, axis=0), atol=1e-5)
    own = lora_bert.evaluate(adapter)
    assert own.scores.figures["accuracy"] == predictor.manifest.metrics["validation"]["accuracy"]
    assert lora_bert.verify(adapter).passed
    pytest.importorskip("onnxruntime")
    result = lora_bert.export(adapter, tmp_path / "onnx", format="onnx")
    assert result.difference < 1e-4
    exported = lora_bert.load(tmp_path / "onnx", dtype="float32")
    np.testing.assert_allclose(exported.values(TEXTS), expected, atol=1e-4)


def test_of_a_pair_the_longer_text_comes_in_parts(trained):
    adapter, _ = trained("relevance")
    tokenizer = lora_bert.load(adapter).tokenizer
    both = tokenizer.encode(TextPairs(["good " * 30, "bad"], ["late " * 40, "cold " * 20]))
    assert both.truncated.tolist() == [True, *[False] * (len(both) - 1)]
    assert both.lengths.max() <= LENGTH
    good, late, cold, bad = map(tokenizer.core.token_to_id, "good late cold bad".split())
    first, second = np.split(both.ids, [both.starts[both.begins[1]]])
    assert (second == bad).sum() == both.begins[2] - both.begins[1]
    assert (second == cold).sum() >= 20
    assert (first == good).sum() == 6 * both.begins[1]
    assert (first == late).sum() >= 40


def test_a_training_goes_on_to_the_same_bits(tiny_backbone, tmp_path, monkeypatch):
    data = write(tmp_path / "rows.jsonl", rows("single-label"))
    options = {"backbone": str(tiny_backbone), "max_length": LENGTH, "epochs": 2, "batch_size": 8,
               "head_start": "random"}  # fmt: skip
    windows = {"overflow": "windows", "doc_stride": 5}
    whole = lora_bert.train(data, output=tmp_path / "a", **windows, **options)
    losses = [row["train_loss"] for row in whole.history]
    assert all(0 < loss < 2 for loss in losses)
    loss, calls = SingleLabel.loss, []

    def stopping(task, outputs, targets):
        calls.extend([0] * outputs.requires_grad)
        if len(calls) == 30:
            raise KeyboardInterrupt
        return loss(task, outputs, targets)

    with monkeypatch.context() as patch:
        patch.setattr(SingleLabel, "loss", stopping)
        part = lora_bert.train(data, output=tmp_path / "b", **windows, **options)
    assert part.interrupted
    again = {"output": tmp_path / "b", "resume": True, "overwrite": True, **options}
    with pytest.raises(ConfigError, match="was begun with overflow='windows', not cut"):
        lora_bert.train(data, **again)
    with pytest.raises(ConfigError, match="was begun with doc_stride=5, not"):
        lora_bert.train(data, overflow="windows", **again)
    found = lora_bert.train(data, **windows, **again)
    ours, theirs = (
        (each.path / "adapter_model.safetensors").read_bytes() for each in (whole, found)
    )
    assert ours == theirs


def test_a_text_of_a_hundred_thousand_tokens(trained):
    adapter, _ = trained("single-label")
    predictor = lora_bert.load(adapter, dtype="float32", batch_size=64)
    long = "good " * 100_000
    tokens = predictor.tokenizer.encode([long])
    assert len(tokens) == 1 + -(-(100_000 - 14) // 10)
    assert tokens.lengths.max() == LENGTH
    assert np.isfinite(predictor.values([long, "bad"])).all()


def test_what_is_wrong_is_a_sentence(tiny_backbone, tmp_path, caplog):
    data = write(tmp_path / "rows.jsonl", rows("single-label"))
    options = {"backbone": str(tiny_backbone), "output": tmp_path / "a", "max_length": LENGTH}
    with pytest.raises(ConfigError, match="doc_stride=4: texts that are too long are cut"):
        lora_bert.train(data, doc_stride=4, **options)
    with pytest.raises(ConfigError, match="has room for 14 of text, of which windows can share 7"):
        lora_bert.train(data, overflow="windows", doc_stride=8, **options)
    with pytest.raises(ConfigError, match="overflow: 'both' is not one of cut, windows"):
        lora_bert.train(data, overflow="both", **options)
    with pytest.raises(ConfigError, match="positions for 130 tokens"):
        lora_bert.train(data, overflow="windows", **options | {"max_length": 131})
    lora_bert.train(data, epochs=1, **options)
    assert "(--max-length); --overflow windows reads all of them" in caplog.text
    assert "overflow: cut" in (tmp_path / "a" / "run.yaml").read_text()
    assert "--overflow" not in (tmp_path / "a" / "README.md").read_text()
