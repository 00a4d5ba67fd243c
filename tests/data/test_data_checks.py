"""Every warning has its figures and its grammar; a clean set has none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.data.data_checks import warn_about, warn_of_imbalance
from lora_bert.data.data_options import DataOptions
from lora_bert.data.examples import Examples
from lora_bert.data.sources import Splits, load_splits
from lora_bert.errors import DataError


def part(rows, source="a.csv", unit="line"):
    texts, labels = zip(*rows, strict=True)
    return Examples(texts, labels, tuple(range(2, len(rows) + 2)), source, unit=unit)


CLEAN = [(f"{label}{n}", label) for label in "xy" for n in range(5)]
UNSEEN = part([("unseen", "x")], "c.csv")


def splits(train, validation=UNSEEN, test=None):
    return Splits(train, validation, test, "a", "0", ("text", "label"))


def test_nothing_to_say(caplog):
    assert warn_about(splits(part(CLEAN), part([("new", "x")], "b.csv"))) == []
    assert caplog.messages == []


def test_small_classes(caplog):
    one = "1 class has fewer than 5 training rows: 'z' (4)."
    assert warn_about(splits(part([*CLEAN, *((f"z{n}", "z") for n in range(4))]))) == [one]
    assert caplog.messages == [one]
    many = part([*CLEAN, *((f"m{n}", f"l{n}") for n in range(1200))])
    assert warn_about(splits(many)) == [
        "1,200 classes have fewer than 5 training rows: "
        "'l0' (1), 'l1' (1), 'l2' (1), 'l3' (1), 'l4' (1) and 1,195 more."
    ]


def test_texts_in_two_parts():
    other = part([("x0 ", "x"), ("new", "x"), ("newer", "y"), ("newest", "y")], "b.csv")
    assert warn_about(splits(part(CLEAN), other)) == [
        "1 of 4 validation texts (25.0%) also stands in training."
    ]
    assert warn_about(splits(part(CLEAN), test=part(CLEAN))) == [
        "10 of 10 test texts (100.0%) also stand in training."
    ]


ROWS = st.lists(st.tuples(st.sampled_from(["a", " a", "b", "c ", "d"]), st.sampled_from("xyz")),
                min_size=1, max_size=12)  # fmt: skip


@given(ROWS, ROWS)
def test_texts_are_compared_as_one_by_one(train, validation):
    parts = part([*CLEAN, *train]), part(validation, "b.csv")
    said = warn_about(splits(*parts))
    known = {text.strip() for text in parts[0].texts}
    shared = sum(text.strip() in known for text in parts[1].texts)
    assert any(f"{shared} of " in each for each in said) == (shared > 0)
    first, example, several = {}, "", set()
    for rows in parts:
        for row, (text, label) in enumerate(zip(rows.texts, rows.labels, strict=True)):
            was, where = first.setdefault(text.strip(), (label, rows.at(row)))
            if was != label:
                several.add(text.strip())
                example = example or f"for example {where} and {rows.at(row)}."
    assert [each for each in said if "more than one label" in each] == [
        each for each in said if several and f"{len(several)} text" in each and example in each
    ]
    assert any("more than one label" in each for each in said) == bool(several)


def test_two_labels():
    rows = [*CLEAN, ("x0", "y")]
    assert warn_about(splits(part(rows))) == [
        "1 text carries more than one label, for example 'a.csv', line 2 and 'a.csv', line 12."
    ]
    other = part([("x0", "y"), ("x1", "y")], "b.parquet", "row")
    assert warn_about(splits(part(CLEAN), other))[1] == (
        "2 texts carry more than one label, for example 'a.csv', line 2 and 'b.parquet', row 2."
    )


def test_one_class():
    with pytest.raises(DataError, match="one class only, 'x'"):
        warn_about(splits(part(CLEAN[:5])))


def test_chnsenticorp(data_dir):
    sentences = warn_about(load_splits(str(data_dir / "chnsenticorp")))
    assert "331 of 1,200 test texts (27.6%) also stand in training." in sentences


def labelled(**sizes):
    return part([(f"{label}{n}", label) for label, size in sizes.items() for n in range(size)])


@pytest.mark.parametrize(
    ("sizes", "imbalanced"),
    [
        ({"x": 500, "y": 500}, False),
        ({"x": 667, "y": 333}, False),
        ({"x": 750, "y": 250}, False),
        ({"x": 800, "y": 200}, True),
        ({"ham": 866, "spam": 134}, True),
        ({"joy": 535, "sad": 466, "anger": 216, "fear": 194, "love": 130, "surprise": 57}, True),
        ({"x": 480, "y": 480, "z": 40}, True),
        ({f"l{n}": 100 if n else 20 for n in range(50)}, False),  # one rare class of many
        ({f"l{n}": 20 + n for n in range(77)}, False),
        ({f"l{n}": 1 + n % 9 for n in range(77)}, False),  # few rows a class: chance
        ({f"l{n}": 2 if n else 40 for n in range(40)}, False),  # too few to say
        ({f"l{n}": 3000 // (n + 1) for n in range(20)}, True),
    ],
)
def test_imbalanced_classes_are_said_with_what_helps(sizes, imbalanced, caplog):
    said = warn_of_imbalance(labelled(**sizes), metric="accuracy", weights="none")
    assert bool(said) == imbalanced
    assert caplog.messages == ([said] if said else [])


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (("accuracy", "none"), " --metric macro_f1 --class-weights balanced make "),
        (("log_loss", "none"), " --metric macro_f1 --class-weights balanced make "),
        (("macro_f1", "none"), " --class-weights balanced makes "),
        (("accuracy", "balanced"), " --metric macro_f1 makes "),
    ],
)
def test_only_the_options_that_are_missing_are_named(options, wanted):
    metric, weights = options
    train = labelled(ham=2_000, spam=100)
    assert warn_of_imbalance(train, metric=metric, weights=weights) == (
        f"Classes are imbalanced: 'ham' has 2,000 of 2,100 training rows, 'spam' has 100.{wanted}"
        "the small ones count."
    )
    assert warn_of_imbalance(train, metric="macro_f1", weights="balanced") == ""


@pytest.mark.parametrize(
    ("data", "options", "imbalanced"),
    [
        ("waimai/waimai_10k.csv", {}, False),
        ("banking77", {}, False),
        ("banking77", {"limit": 1500}, False),
        ("20newsgroups", {}, False),
        ("online_shopping_10_cats/online_shopping_10_cats.csv",
         {"text_column": "review", "label_column": "label"}, False),
        ("online_shopping_10_cats/online_shopping_10_cats.csv",
         {"text_column": "review", "label_column": "cat"}, True),
    ],
)  # fmt: skip
def test_real_classes(data, options, imbalanced, data_dir):
    train = load_splits(str(data_dir / data), options=DataOptions(**options)).train
    said = warn_of_imbalance(train, metric="accuracy", weights="none")
    assert bool(said) == imbalanced
