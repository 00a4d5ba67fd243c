"""The report: whole, escaped, needing nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.data.examples import Examples
from lora_bert.errors import OutputError
from lora_bert.evaluation.baseline import Baseline
from lora_bert.evaluation.overlap import overlap
from lora_bert.evaluation.page import report_page, write_report
from lora_bert.evaluation.result import judge
from lora_bert.metrics.comparison import compare
from lora_bert.metrics.intervals import Interval
from lora_bert.tasks.single_label import SingleLabel


def judged(classes=2, rows=60, texts=None, labels=None, seed=0, **more):
    """A judgement of random rows, and the rows."""
    rng = np.random.default_rng(seed)
    labels = labels or [f"class {number}" for number in range(classes)]
    true = rng.integers(0, len(labels), rows)
    probabilities = rng.dirichlet(np.ones(len(labels)), rows)
    probabilities[np.arange(rows), true] += 0.4
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    texts = texts or [f"text {number}" for number in range(rows)]
    examples = Examples(
        tuple(texts), tuple(labels[at] for at in true), tuple(range(2, rows + 2)), "rows.csv"
    )
    return judge(SingleLabel(tuple(labels)), probabilities, true, **more), examples


class Checker(HTMLParser):
    """Counts open tags, and keeps what would be fetched or run."""

    VOID = frozenset(["meta", "br"])

    def __init__(self):
        super().__init__()
        self.open, self.outside, self.text = [], [], []

    def handle_startendtag(self, tag, attrs):
        self.look(tag, attrs)

    def handle_starttag(self, tag, attrs):
        self.look(tag, attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def look(self, tag, attrs):
        names = {name for name, _ in attrs}
        if tag in ("script", "link", "img", "iframe") or names & {"src", "href", "onload"}:
            self.outside.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(page):
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert checker.outside == []
    assert "url(" not in page
    assert "http" not in page
    return " ".join(" ".join(checker.text).split())


def test_everything_is_in_it():
    rng = np.random.default_rng(0)
    answers = np.zeros(60, int), np.ones(60, int), rng.integers(0, 2, 60)
    losses = rng.random(60), rng.random(60)
    found = judged(
        baseline=Baseline(
            compare("TF-IDF + linear SVM", *answers, metric="macro_f1"),
            Interval(0.6, 0.8),
            1.2,
            "TF-IDF (…) + LinearSVC",
        ),
        against=compare(
            "runs/other",
            *answers,
            metric="macro_f1",
            losses=losses,
            settings={"rank": (8, "<b>"), "class_weights": ("balanced", None)},
        ),
        metric="macro_f1",
        target_accuracy=0.8,
        outside=(["none of <them>"], rng.dirichlet(np.ones(2), 9)),
        overlap=overlap(["a", "b"], ["a"], np.array([True, False])),
    )
    text = read(report_page(*found, title="runs/mine on rows.csv"))
    for part in (
        "runs/mine on rows.csv", "60 labelled rows, 2 classes", "calibration error", "McNemar",
        "TF-IDF (…) + LinearSVC, fitted in 1.2 s", "Macro-F1 beside what it can be compared with",
        "Against runs/other: ", "the rows say", "log loss", "what differs this one the other",
        "class_weights balanced –", "rank 8 <b>", "Answering only where it is sure",
        "From --min-score", "Rows that belong to no class: none of <them>",
        "1 of these texts stand in the training rows too", "for class 1",
        "the accuracy on new texts is the honest one: 0.0 %",
        "The most confident mistakes", "Labels to look at again",
    ):  # fmt: skip
        assert part in text, part
    assert f"of {len(found[0].wrong)}. Lines are those of rows.csv" in text


@pytest.mark.parametrize(("classes", "rows"), [(3, 9), (25, 500), (300, 900), (510, 900)])
def test_many_classes(classes, rows):
    text = read(report_page(*judged(classes, rows), title="t"))
    assert ("true ↓ predicted →" in text) == (classes <= 20)
    assert ("the lowest F1 first" in text) == (classes > 20)
    assert ("10 more are in evaluation.json" in text) == (classes == 510)
    if classes <= 500:
        assert all(f" class {number} " in text for number in range(classes))


def test_bars_of_the_accuracy_have_the_new_texts_beside_them():
    seen = overlap(["a", "b"], ["a"], np.array([True, False]))
    text = read(report_page(*judged(overlap=seen), title="t"))
    assert "Accuracy beside what it can be compared with all rows" in text
    assert "new texts 0.0 %" in text


def test_nothing_wrong():
    examples = Examples(("x", "y"), ("a", "b"), (2, 3), "rows.csv")
    true, sure = np.arange(2), np.eye(2)
    text = read(report_page(judge(SingleLabel(("a", "b")), sure, true), examples, title="t"))
    assert "None: no label is contradicted." in text
    assert "The training rows are not at hand" in text


NASTY = st.text(max_size=30) | st.sampled_from(
    ["<script>alert(1)</script>", "</td></table>", '" onload="x', "\x1b[31m", "{{ 7 * 7 }}", "&lt;"]
)


@given(texts=st.lists(NASTY, min_size=6, max_size=6), labels=st.lists(NASTY, min_size=2,
       max_size=4, unique=True))  # fmt: skip
def test_texts_and_labels_are_only_ever_text(texts, labels):
    page = report_page(*judged(rows=6, texts=texts, labels=labels), title=texts[0])
    read(page)
    assert "<script" not in page
    assert "\x1b" not in page
    assert "49" not in re.findall(r"\{\{.*?\}\}", page)


@pytest.fixture
def look(tmp_path):
    """``look(page, width)`` -> what a headless browser says of the page: size, colour."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = os.environ.get("LORA_BERT_BROWSER") or next(filter(None, map(shutil.which, names)), "")
    if not found:
        pytest.skip("no browser here: install Chromium or set $LORA_BERT_BROWSER")

    def call(page, width, *options):
        path = tmp_path / "page.html"
        path.write_text(f"{page}<script>{ASKS}</script>", encoding="utf-8")
        done = subprocess.run(
            [found, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/me",
             f"--window-size={width},900", *options, "--dump-dom", path.as_uri()],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        return json.loads(re.search("<title>(.*?)</title>", done.stdout)[1])

    return call


ASKS = """document.title = JSON.stringify({
  "wide": document.documentElement.scrollWidth, "window": innerWidth,
  "paper": getComputedStyle(document.body).backgroundColor, "high": document.body.scrollHeight,
  "empty": [...document.querySelectorAll("figure, table, .bars")]
    .filter(part => !part.offsetHeight).length
})"""


def test_a_browser_shows_it_at_any_width_light_and_dark(look):
    texts = ["很长的评论" * 60, "short", "word" * 90] * 20
    labels = [f"标签 {n} " + "long" * n for n in range(6)]
    answers = np.random.default_rng(0).integers(0, 6, (3, 60))
    against = compare(
        "an/adapter/" * 9, *answers, metric="macro_f1", losses=(np.zeros(60), np.ones(60)),
        settings={"target_modules": ("all-linear", "query,key,value," * 9)},
    )  # fmt: skip
    found = judged(6, texts=texts, labels=labels, against=against, metric="macro_f1",
                   target_accuracy=0.9, outside=(labels, np.eye(6)))  # fmt: skip
    page = report_page(*found, title="a/rather/long/directory/of/an/adapter" * 2)
    for width in (500, 1200):
        seen = look(page, width)
        assert seen["wide"] <= seen["window"] <= width
        assert seen["high"] > 1500
        assert seen["empty"] == 0
    dark = look(page, 1200, "--force-dark-mode", "--blink-settings=preferredColorScheme=0")
    assert (seen["paper"], dark["paper"]) == ("rgb(252, 252, 251)", "rgb(23, 24, 26)")


def test_it_is_written_whole_or_not_at_all(tmp_path):
    write_report(tmp_path / "r.html", *judged(texts=["\ud83d"] * 60), title="t")
    assert (tmp_path / "r.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_report(tmp_path / "file" / "r.html", *judged(), title="t")
