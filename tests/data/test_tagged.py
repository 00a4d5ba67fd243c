"""Tagged words in every form they come in: texts, entities, and what is wrong with them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.data.data_options import DataOptions
from lora_bert.data.given import given_rows
from lora_bert.data.sources import load_rows, load_splits
from lora_bert.data.tables import read_table
from lora_bert.data.tag_schemes import SCHEMES, read_tags, tags_of
from lora_bert.data.tagged import tags_in
from lora_bert.data.words import RULES, joined, rule_for, words_in
from lora_bert.errors import DataError
from lora_bert.tasks.problem_types import chosen_task

OPTIONS = DataOptions(label_form="tags", classes=False, split="random")


def read(path, text: str, **options):
    """The texts and entities of a file that holds this."""
    path.write_text(text, encoding="utf-8")
    rows, _, _ = load_rows(str(path), options=DataOptions(label_form="tags", **options))
    return rows


def entities(rows) -> list[list[tuple[str, str]]]:
    """What is marked in each text, and its type."""
    return [
        [(text[start:end], kind) for start, end, kind in json.loads(label)]
        for text, label in zip(rows.texts, rows.labels, strict=True)
    ]


NAMES = [[("New York", "LOC"), ("Ann", "PER")], []]
FORMS = {
    "a.conll": "-DOCSTART- -X- O\n\nNew NNP B-LOC\nYork NNP I-LOC\nmet IN O\nAnn NNP B-PER\n\n"
    "nobody NN O\n",
    "b.txt": "New\tB-LOC\nYork\tI-LOC\nmet\tO\nAnn\tB-PER\n\nnobody\tO\n",
    "c.jsonl": '{"tokens": ["New", "York", "met", "Ann"], "ner_tags": '
    '["B-LOC", "E-LOC", "O", "S-PER"]}\n{"tokens": ["nobody"], "ner_tags": ["O"]}\n',
    "d.jsonl": '{"text": "New York met Ann", "label": [[0, 8, "LOC"], [13, 16, "PER"]]}\n'
    '{"text": "nobody", "label": []}\n',
    "e.jsonl": '{"text": "New York met Ann", "entities": [{"id": 1, "label": "PER", '
    '"start_offset": 13, "end_offset": 16}, {"label": "LOC", "start_offset": 0, "end_offset": '
    '8}]}\n'
    '{"text": "nobody", "entities": []}\n',
    "f.json": '[{"id": 1, "data": {"text": "New York met Ann"}, "annotations": [{"result": ['
    '{"from_name": "label", "value": {"start": 0, "end": 8, "text": "New York", "labels": '
    '["LOC"]}}, '
    '{"from_name": "label", "value": {"start": 13, "end": 16, "text": "Ann", "labels": ["PER"]}}'
    ']}]}]',
    "g.csv": 'sentence,word_labels\nNew York met Ann,B-LOC I-LOC O B-PER\nnobody,O\n',
    "i.csv": 'sentence,word_labels\nNew York met Ann,"B-LOC,I-LOC,O,B-PER"\nnobody,O\n',
    "j.bio": "B-LOC\tNew\nI-LOC\tYork\nO\tmet\nB-PER\tAnn\n\nO\tnobody\n",
    "k.txt": "B-LOC New\nI-LOC York\nO met\nB-PER Ann\n\nO nobody\n",
    "h.csv": "text,tags\nNew York met Ann,\"['I-LOC', 'I-LOC', 'O', 'I-PER']\"\nnobody,['O']\n",
}  # fmt: skip


FORMS["k.conll"] = (
    "# text = New York met Ann\n1\tNew\tNNP\tB-LOC\n2\tYork\tNNP\tI-LOC\n3-4\tmetAnn\t_\t_\n"
    "3\tmet\tIN\tO\n4\tAnn\tNNP\tB-PER\n\n# text = nobody\n1\tnobody\tPRP\tO\n"
)
FORMS["l.csv"] = (
    "tokens,ner_tags\n\"array(['New', 'York', 'met', 'Ann'], dtype=object)\","
    "\"['B-LOC' 'I-LOC' 'O'\n 'B-PER']\"\n['nobody'],\"array(['O'], dtype='<U1')\"\n"
)
FORMS["i.conll"] = "\ufeff" + FORMS["a.conll"].replace("\n", "\r\n")
FORMS["j.txt"] = FORMS["b.txt"].replace("\n\n", "\r\n \r\n").replace("\tO\n", "\tO  \n")


@pytest.mark.parametrize("name", FORMS)
def test_every_form_says_the_same(name, tmp_path):
    rows = read(tmp_path / name, FORMS[name])
    assert list(rows.texts) == ["New York met Ann", "nobody"][: len(rows)]
    assert entities(rows) == NAMES[: len(rows)]


LATE = 9000
"""Rows without an entity before those that have some: more than any first look holds."""
LATE_ROWS = {
    "spans": ({"text": "nobody met", "spans": []},
              {"text": "Ann met", "spans": [{"start": 0, "end": 3, "label": "PER"}]}),
    "null": ({"text": "nobody met", "spans": None},
             {"text": "Ann met", "spans": [{"start": 0, "end": 3, "label": "PER"}]}),
    "spacy": ({"text": "nobody met", "label": {"entities": []}},
              {"text": "Ann met", "label": {"entities": [[0, 3, "PER"]]}}),
    "cluener": ({"text": "nobody met", "label": {}},
                {"text": "Ann met", "label": {"PER": {"Ann": [[0, 2]]}}}),
    "lists": ({"tokens": ["nobody", "met"], "tags": ["O", "O"]},
              {"tokens": ["Ann", "met"], "tags": ["B-PER", "O"]}),
    "words": ({"text": "nobody met", "tags": "O O"}, {"text": "Ann met", "tags": "B-PER O"}),
}  # fmt: skip


@pytest.mark.parametrize("form", LATE_ROWS)
def test_entities_that_come_late_are_seen(form, tmp_path):
    without, entity = LATE_ROWS[form]
    rows = [without] * LATE + [entity]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    sources = [str(tmp_path / "a.jsonl"), given_rows(rows, "data")]
    if form != "spacy":  # lists of several types, which parquet has not
        pa = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(
            pa.Table.from_pylist(rows), tmp_path / "a.parquet"
        )
        sources.append(str(tmp_path / "a.parquet"))
    for source in sources:
        assert chosen_task("auto", read_table(source), OPTIONS).problem_type == "token_tagging"
        found, _, _ = load_rows(source, options=OPTIONS)
        assert len(found) == (1 if form == "null" else LATE + 1)
        assert entities(found)[-1] == [("Ann", "PER")]


def test_words_and_tags_of_different_numbers_in_every_row_are_an_error(tmp_path):
    """Said as that, and not read as texts with several labels."""
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"tokens": ["Ann", "came"], "tags": ["B-PER"]}) + "\n")
    assert tags_in(read_table(path), text=None, tags=None)
    path.write_text(json.dumps({"tokens": ["Ann", "came"], "label": ["person"]}) + "\n")
    assert not tags_in(read_table(path), text=None, tags=None)


def test_rows_of_something_else_are_looked_at_briefly(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "good food,good\n" * 1500 + 'Ann,"[[0, 3, ""PER""]]"\n')
    assert chosen_task("auto", read_table(path), OPTIONS).problem_type != "token_tagging"


@pytest.mark.parametrize("between", ["\n\n", "\n"])
def test_a_text_file_whose_entities_come_late_is_conll(between, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(between.join(["nobody O\nmet O"] * 5000 + ["\nAnn B-PER\nmet O\n"]))
    assert read_table(path).columns == ("tokens", "tags")


def test_a_saved_dataset_with_numbered_tags(tmp_path):
    datasets = pytest.importorskip("datasets")
    tags = datasets.ClassLabel(names=["O", "B-LOC", "I-LOC", "B-PER"])
    made = datasets.Dataset.from_dict(
        {"tokens": [["New", "York", "met", "Ann"], ["nobody"]], "ner_tags": [[1, 2, 0, 3], [0]]},
        features=datasets.Features(
            {"tokens": datasets.Sequence(datasets.Value("string")),
             "ner_tags": datasets.Sequence(tags)}
        ),
    )  # fmt: skip
    made.save_to_disk(str(tmp_path / "saved"))
    rows, _, _ = load_rows(str(tmp_path / "saved"), options=OPTIONS)
    assert entities(rows) == NAMES


def test_chinese_is_cut_into_characters(tmp_path, caplog):
    caplog.set_level("INFO")
    rows = read(
        tmp_path / "a.bmes", "张 B-NAME\n三 E-NAME\n在 O\n京 S-LOC\n\n5 B-X\nG M-X\n网 E-X\n"
    )
    assert list(rows.texts) == ["张三在京", "5G网"]
    assert entities(rows) == [[("张三", "NAME"), ("京", "LOC")], [("5G网", "X")]]
    assert rows.tagging == ("BMES", "characters")
    assert "tags of the scheme BMES; words end at every character" in caplog.text
    cluener = '{"text": "张三在京", "label": {"name": {"张三": [[0, 1]]}}}\n'
    assert entities(read(tmp_path / "b.jsonl", cluener)) == [[("张三", "name")]]


def test_what_can_be_mended_is_counted(tmp_path, caplog):
    rows = read(
        tmp_path / "a.conll", "Ann\tB-PER\nYork\tI-LOC\n\n\tB-PER\nnobody\tO\n \tO\n",
    )  # fmt: skip
    assert entities(rows) == [[("Ann", "PER"), ("York", "LOC")], []]
    assert "1 entities are not written as IOB2 is" in caplog.text
    assert "1 tag without a word left out" in caplog.text
    assert "1 tags stand at no word and are left out" in caplog.text
    caplog.clear()
    rows = read(
        tmp_path / "b.jsonl",
        '{"text": "😀 New Yorker Ann", "label": [{"start": 3, "end": 8, "text": "New Y", "labels": '
        '["LOC"]}, {"start": 2, "end": 5, "labels": ["X"]}, {"start": 90, "end": 99, "labels": '
        '["X"]}]}\n',
    )
    assert entities(rows) == [[("New Yorker", "LOC")]]
    for words in ("stand elsewhere than they say", "begin or end within a word", "overlap with one",
                  "hold no word of their text"):  # fmt: skip
        assert words in caplog.text


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"tokens": ["a", "b"], "tags": ["O"]}\n', "line 1: 2 words and 1 tag"),
        ("a.conll", "Ann\tB-PER\nmet\n", "line 2: 'met' has no tag"),
        ("a.conll", "met\n" * 1500 + "Ann B-PER\n", "line 1,501: 'Ann B-PER' is more than a word"),
        ("a.jsonl", '{"text": "a", "tags": {"PER": {"a": 3}}}\n', "line 1: 1 word and 3 tags"),
        ("a.jsonl", '{"tokens": ["a"], "tags": [3]}\n', "line 1: the tag '3' is of no scheme"),
        ("a.jsonl", '{"tokens": ["a"], "tags": ["NN"]}\n', "the tag 'NN' is of no scheme"),
        ("a.jsonl", '{"text": "Ann came", "label": [[1e999, 3, "PER"]]}\n', "2 words and 1 tag"),
        ("a.csv", "text,label\nAnn,yes\nBob,no\n", "line 2: the tag 'yes' is of no scheme"),
        ("a.csv", "tokens,b\n['a'],1\n", "'.*a.csv' has no tags"),
    ],
)
def test_what_cannot_is_a_sentence(name, text, message, tmp_path):
    with pytest.raises(DataError, match=message):
        read(tmp_path / name, text)


def test_a_word_a_row_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Sentence #,Word,POS,Tag\nSentence: 1,nobody,NN,O\n,met,VB,O\n,Ann,NN,B-PER\n")
    assert chosen_task("auto", read_table(path), OPTIONS).problem_type == "token_tagging"
    with pytest.raises(DataError, match="has one word a row"):
        load_rows(str(path), options=OPTIONS)


def test_words_without_tags_are_refused(tmp_path):
    (tmp_path / "train.conll").write_text("Ann\nmet\n\nnobody\n", encoding="utf-8")
    path = tmp_path / "train.conll"
    assert chosen_task("auto", read_table(path), OPTIONS).problem_type == "token_tagging"
    with pytest.raises(DataError, match="There is nothing to learn: '"):
        load_splits(str(path), options=OPTIONS)


def test_words_that_are_objects_are_no_words(tmp_path):
    rows = read(
        tmp_path / "a.jsonl",
        '{"text": "Ann met", "tokens": [{"text": "Ann", "start": 0, "end": 3, "id": 0}], "spans": '
        '[{"start": 0, "end": 3, "token_start": 0, "token_end": 0, "label": "PER"}]}\n',
    )
    assert (list(rows.texts), entities(rows)) == (["Ann met"], [[("Ann", "PER")]])


def test_numbers_are_named(tmp_path):
    text = '{"tokens": ["New", "York"], "tags": [1, 2]}\n'
    names = {"0": "O", "1": "B-LOC", "2": "I-LOC", "LOC": "PLACE"}
    assert entities(read(tmp_path / "a.jsonl", text, label_names=names)) == [
        [("New York", "PLACE")]
    ]


def test_parts_are_cut_as_the_training_rows_are(tmp_path):
    (tmp_path / "train.char.bmes").write_text(
        "张 S-NAME\n\n王 S-NAME\n\n在 O\n\n京 M-X\n", encoding="utf-8"
    )
    (tmp_path / "test.char.bmes").write_text("abc O\n5 S-NAME\n", encoding="utf-8")
    splits = load_splits(str(tmp_path), options=OPTIONS)
    assert splits.test is not None
    assert (list(splits.test.texts), splits.test.tagging) == (["abc5"], ("BMES", "characters"))


@given(
    st.lists(st.text(alphabet="ab张5.,- ", min_size=1, max_size=4).filter(str.strip), max_size=9)
)
def test_joined_words_are_found_again(words):
    for rule in RULES:
        text, spans = joined(words, rule)
        assert [text[start:end] for start, end in spans] == words
        found = words_in(text, rule)
        covered = {at for start, end in found for at in range(start, end)}
        assert covered == {at for at, char in enumerate(text) if not char.isspace()}
        begins = {start for start, _ in found}
        own = {
            start for (start, _), word in zip(spans, words, strict=True) if not word[0].isspace()
        }
        assert own <= begins


def test_the_rule_is_that_of_the_sentences():
    assert rule_for([list("张三在北京，")]) == "characters"
    assert rule_for([["play", "o'clock", "50"]]) == "spaces"
    assert rule_for([["He", "left", "."]]) == "punctuation"


KINDS = st.sampled_from("AB")


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3), KINDS), max_size=5),
       st.sampled_from(sorted(SCHEMES)))  # fmt: skip
def test_tags_say_the_entities_in_every_scheme(parts, scheme):
    entities, at = [], 0
    for gap, size, kind in parts:
        entities.append((at + gap, at + gap + size, kind))
        at += gap + size
    assert read_tags(tags_of(entities, at, scheme), scheme) == (entities, 0)


GERMEVAL = (
    "#\thttp://de.wikipedia.org/wiki/Aachen [2009-10-17]\n1\tDie\tO\tO\n2\tUni\tB-ORG\tO\n"
    "3\tAachen\tI-ORG\tB-LOC\n\n#\thttp://de.wikipedia.org/wiki/Bonn [2009-10-17]\n"
    "1\tBonn\tB-LOC\tO\n2\tliegt\tO\tO\n"
)
OUTER = [[("Uni Aachen", "ORG")], [("Bonn", "LOC")]]
ANNOTATED = (
    "# sent_id = 1\n# text = Die Uni Aachen\n1\tDie\tO\t-\tanna\n2\tUni\tB-ORG\t-\tanna\n"
    "3\tAachen\tI-ORG\t-\tanna\n\n# sent_id = 2\n1\tBonn\tB-LOC\t-\tbo\n2\tliegt\tO\t-\tbo\n"
)
LETTERS = "Naloxone\tB\nand\tO\nhot\tB\nrash\tI\n\nnobody\tO\n"
COLUMNS = {
    "germeval": ("a.tsv", GERMEVAL, {}, OUTER),
    "germeval without inner ones": ("a.txt", GERMEVAL.replace("B-LOC\n\n", "O\n\n"), {}, OUTER),
    "inner": ("a.conll", GERMEVAL, {"label_column": "tags_4"}, [[("Aachen", "LOC")], []]),
    "annotated": ("a.iob2", ANNOTATED, {}, OUTER),
    "annotated as text": ("a.txt", ANNOTATED, {}, OUTER),
    "chunks": ("a.txt", "Ann NNP B-NP B-PER\nmet VB B-VP O\n\n", {}, [[("Ann", "PER")]]),
    "letters alone": ("a.tsv", LETTERS, {}, [[("Naloxone", "ENTITY"), ("hot rash", "ENTITY")], []]),
    "letters with a name": (
        "a.conll", LETTERS, {"label_names": {"B": "B-X", "I": "I-X"}},
        [[("Naloxone", "X"), ("hot rash", "X")], []],
    ),
    "chunks alone": ("a.conll", "Ann NNP B-NP O\nmet VB B-VP O\n\n", {}, [[]]),
}  # fmt: skip


@pytest.mark.parametrize("form", COLUMNS)
def test_the_column_of_tags_among_others(form, tmp_path):
    name, text, options, wanted = COLUMNS[form]
    assert entities(read(tmp_path / name, text, **options)) == wanted


def test_columns_of_tags_are_said(tmp_path, caplog):
    with caplog.at_level("INFO"):
        read(tmp_path / "a.tsv", GERMEVAL)
    said = "the tags of column 3 of 4 are read. Those of column 4: --label-column tags_4."
    assert caplog.text.count(said) == 1
    with pytest.raises(DataError, match=r"line 2,701: .* has 3 columns, and the lines before"):
        read(tmp_path / "b.conll", (GERMEVAL + "\n") * 300 + "1\tBonn\tB-LOC\n")
    caplog.clear()
    with caplog.at_level("INFO"), pytest.raises(DataError, match=r"line 3,001: .* has 3 columns"):
        read(tmp_path / "a.bio", "O we\nO ran\nB-PER Ann\n" * 1000 + "B-PER Ann Lee\n")
    assert "the tags of column 1 of 2 are read." in caplog.text


KOREAN = (
    "## klue-ner-v1_train_00000-nsmc\t<경찰:OG>이 왔다\n"
    "경\tB-OG\n찰\tI-OG\n이\tO\n \tO\n왔\tO\n다\tO\n\n"
)


@pytest.mark.parametrize("name", ["a.tsv", "a.jsonl"])
def test_a_space_among_characters_is_one(name, tmp_path, caplog):
    """KLUE's texts have their spaces, as they are typed."""
    text = KOREAN + "## klue\t<서울:LC> 역\n서\tB-LC\n울\tI-LC\n \tI-LC\n역\tI-LC\n"
    if name == "a.jsonl":
        rows = [[line.split("\t") for line in block.split("\n")[1:] if line]
                for block in text.split("\n\n")]  # fmt: skip
        objects = [{"tokens": [row[0] for row in block], "ner_tags": [row[1] for row in block]}
                   for block in rows]  # fmt: skip
        text = "\n".join(map(json.dumps, objects))
    found = read(tmp_path / name, text)
    assert list(found.texts) == ["경찰이 왔다", "서울 역"]
    assert entities(found) == [[("경찰", "OG")], [("서울 역", "LC")]]
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize("space", ["\u00a0", "\u3000"])
def test_other_spaces_belong_to_a_word(space, tmp_path):
    rows = read(tmp_path / "a.conll", f"10{space}000 B-QTY\neuros O\n\nthere O\n")
    assert list(rows.texts) == [f"10{space}000 euros", "there"]
    assert entities(rows) == [[(f"10{space}000", "QTY")], []]


def test_a_first_column_of_numbers_that_are_words(tmp_path):
    rows = read(tmp_path / "a.conll", "1 CD B-QTY\n3 CD I-QTY\n\n1 CD B-QTY\n2 CD O\n")
    assert list(rows.texts) == ["13", "12"]


def test_words_that_are_counted_no_longer(tmp_path):
    counted = "".join("1 Ann NNP B-PER\n2 met VB O\n\n" for _ in range(3000))
    with pytest.raises(DataError, match="line 9,001: 'Bob NNP B-PER' begins with no number"):
        read(tmp_path / "a.conll", counted + "Bob NNP B-PER\n")


def test_a_mark_in_json_is_a_character_of_the_text(tmp_path):
    row = {"text": "\ufeff浙商银行的叶老桂博士", "label": [[1, 5, "company"], [6, 9, "name"]]}
    rows = read(tmp_path / "a.jsonl", json.dumps(row, ensure_ascii=False) + "\n")
    text = rows.texts[0]
    assert [text[a:b] for a, b, _ in json.loads(rows.labels[0])] == ["浙商银行", "叶老桂"]


def test_what_annotators_rejected_is_not_learned(tmp_path, caplog):
    spans = [{"start": 0, "end": 3, "label": "PER"}]
    rows = [{"text": f"Ann met {at}", "spans": spans, "answer": answer}
            for at, answer in enumerate(["accept", "reject", "accept", "ignore"])]  # fmt: skip
    found = read(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    assert list(found.texts) == ["Ann met 0", "Ann met 2"]
    assert "2 rows" in caplog.text
    assert "rejected or ignored by the annotator" in caplog.text
    assert found.at(1).endswith("line 3")


def test_a_word_a_row_with_the_number_of_its_sentence(tmp_path, caplog):
    rows = ["Sentence: 1,New,NNP,B-LOC", ",York,NNP,I-LOC", ",met,VB,O", ",Ann,NNP,B-PER",
            "Sentence: 2,nobody,PRP,O"]  # fmt: skip
    with caplog.at_level("INFO"):
        found = read(tmp_path / "a.csv", "Sentence #,Word,POS,Tag\n" + "\n".join(rows) + "\n")
    assert list(found.texts) == ["New York met Ann", "nobody"]
    assert entities(found) == NAMES
    assert found.at(1).endswith("line 6")
    assert "column 'Sentence #' makes 2 sentences of them" in caplog.text
    splits = load_splits(str(tmp_path / "a.csv"), options=replace(OPTIONS, beside=("POS",)))
    assert len(splits.train) == 1
    assert splits.train.beside["POS"][0] in ("NNP", "PRP")  # the first word's


def of_types(path, kinds, *others: str) -> None:
    """Sentences with one entity each, of these types, and plain ones."""
    lines = [f"Ann{at}\tB-{kind}\nran\tO\n" for at, kind in enumerate(kinds)]
    path.write_text("\n".join([*lines, *(f"{word}\tO\n" for word in others)]), encoding="utf-8")


def test_every_type_keeps_training_rows_when_rows_are_divided(tmp_path):
    path = tmp_path / "a.conll"
    of_types(path, ["COMMON"] * 20 + ["RARE"] * 2 + ["ONCE"])
    for seed in range(8):
        options = DataOptions(
            label_form="tags", classes=False, validation_fraction=0.5, split_seed=seed
        )
        splits = load_splits(str(path), options=options)
        assert set(splits.train.label_counts) == {"COMMON", "RARE", "ONCE"}
        assert len(splits.train) + len(splits.validation) == 23
    of_types(path, ["A", "B", "C"])
    with pytest.raises(DataError, match="too few"):
        load_splits(str(path), options=options)


def test_a_limit_leaves_out_rows_of_types_that_training_rows_lack(tmp_path, caplog):
    of_types(tmp_path / "train.conll", ["RARE"] + ["PER"] * 40)
    of_types(tmp_path / "test.conll", ["RARE", "PER"], "nobody")
    options = DataOptions(label_form="tags", classes=False, limit=8)
    splits = load_splits(str(tmp_path), options=options)
    assert set(splits.train.label_counts) == {"PER"}
    assert entities(splits.test) == [[("Ann1", "PER")], []]
    assert "Left out 1 row of " in caplog.text
