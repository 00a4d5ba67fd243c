"""Questions about texts, in every form that files have them in."""

from __future__ import annotations

import csv
import json
import logging
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_bert.data.answer_columns import answer_columns
from lora_bert.data.answers import answer_examples, answers_in, learnable
from lora_bert.data.data_options import DataOptions
from lora_bert.data.examples import Examples
from lora_bert.data.sources import load_rows, load_splits
from lora_bert.data.tables import read_table
from lora_bert.data.texts import columns_of
from lora_bert.errors import DataError

ANSWERS = DataOptions(label_form="answers", classes=False, split="random")
CONTEXT = "Ann came at noon. Bob came later."


def read(path) -> Examples:
    table = read_table(path)
    names = answer_columns(
        table.columns, question=None, context=None, answers=None, source=table.source
    )
    return answer_examples(table, *map(str, names))


def answers_of(examples: Examples) -> list[list[str]]:
    contexts = columns_of(examples.texts)[1]
    return [[context[start:end] for start, end in json.loads(label)]
            for context, label in zip(contexts, examples.labels, strict=True)]  # fmt: skip


def squad(path, questions, context=CONTEXT):
    document = {"version": "v2.0", "data": [
        {"title": "t", "paragraphs": [{"context": context, "qas": questions}]}
    ]}  # fmt: skip
    path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    return path


def question(*answers, **more):
    texts = [{"text": text, "answer_start": start} for text, start in answers]
    return {"id": str(len(str(answers))), "question": "Who?", "answers": texts, **more}


def test_squad_is_read(tmp_path):
    path = squad(tmp_path / "a.json", [
        question(("Ann", 0), ("noon", 12)),
        {"id": "n", "question": "Why?", "answers": [], "is_impossible": True},
    ])  # fmt: skip
    table = read_table(path)
    assert answers_in(table)
    examples = read(path)
    assert answers_of(examples) == [["Ann", "noon"], []]
    assert examples.label_form == "answers"
    assert examples.at(1) == f"'{path}', record 2"
    assert list(columns_of(examples.texts)[0]) == ["Who?", "Why?"]


@pytest.mark.parametrize(
    "rows",
    [
        [{"question": "Who?", "context": CONTEXT, "answers": {"text": ["Bob"],
                                                              "answer_start": [18]}}],
        [{"query": "Who?", "passage": CONTEXT, "answer": "Bob", "answer_start": 18}],
        [{"question": "Who?", "context": CONTEXT, "answers": [{"text": "Bob",
                                                               "answer_start": "18"}]}],
        [{"问题": "Who?", "文章": CONTEXT, "答案": ["Bob"], "answer_start": [18]}],
        [{"context": CONTEXT, "qas": [{"query_text": "Who?", "query_id": "q",
                                       "answers": ["Bob"]}]}],
        [{"context_text": CONTEXT, "qas": [{"query_text": "Who?", "answers": [
            {"text": "Bob", "answer_start": 18}]}]}],
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["json", "jsonl", "parquet"])
def test_flat_files_and_others(rows, kind, tmp_path):
    path = tmp_path / f"a.{kind}"
    if kind == "parquet":
        if "qas" in rows[0]:
            pytest.skip("nested rows are for JSON")
        arrow = pytest.importorskip("pyarrow")
        import pyarrow.parquet

        pyarrow.parquet.write_table(arrow.Table.from_pylist(rows), path)
    else:
        lines = (json.dumps(row, ensure_ascii=False) for row in rows)
        text = json.dumps(rows, ensure_ascii=False) if kind == "json" else "\n".join(lines)
        path.write_text(text, encoding="utf-8")
    examples = read(path)
    assert answers_of(examples) == [["Bob"]]
    assert list(examples.labels) == ["[[18, 21]]"]


def test_answers_elsewhere_are_mended_and_others_are_compared_with_alone(tmp_path, caplog):
    path = squad(tmp_path / "a.json", [
        question(("came", 20)),  # at 4 and at 22
        question(("Ann", -1), ("Zoe", 0)),
        question(("Zoe", 3)),
        {"id": "e", "question": " ", "answers": []},
        {"id": "h", "question": "Hidden?"},
    ])  # fmt: skip
    with caplog.at_level(logging.WARNING):
        examples = read(path)
    assert list(examples.labels) == ["[[22, 26]]", '[[0, 3], "Zoe"]', '["Zoe"]', "[]"]
    assert "2 answers stand elsewhere than answer_start says" in caplog.text
    assert "2 answers stand nowhere in the context" in caplog.text
    assert "1 row with nothing said of its answers" in caplog.text
    assert "record 5" in caplog.text
    with caplog.at_level(logging.WARNING):
        learned = learnable(examples)
    assert list(learned.labels) == ["[[22, 26]]", "[[0, 3]]"]
    assert "no answer that stands in its context and 1 row with no question" in caplog.text
    assert "record 3" in caplog.text
    assert learnable(learned) is learned


@pytest.mark.parametrize(
    ("answers", "label"),
    [
        ({"text": [1990], "answer_start": [12]}, "[[12, 16]]"),
        ({"text": 1990, "answer_start": 12}, "[[12, 16]]"),
        ([1990], "[[12, 16]]"),
        ([{"text": 1990}, None], "[[12, 16]]"),
        ([None], "[]"),
        ([""], "[]"),
        ([{"answer": "1990"}], None),
        ([True], None),
        ({"text": [["1990"]]}, None),
    ],
)
def test_a_number_is_an_answer_and_no_other_thing_is_none(answers, label, tmp_path, caplog):
    rows = [{"question": "When?", "context": "It began in 1990, in May.", "answers": answers},
            {"question": "Who?", "context": "Ann did.", "answers": ["Ann"]}]  # fmt: skip
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        labels = list(read(path).labels)
    assert labels == ([label] if label else []) + ["[[0, 3]]"]
    assert ("1 row with nothing said of its answers" in caplog.text) == (label is None)


def test_what_is_wrong_is_a_sentence(tmp_path):
    squad(tmp_path / "none.json", [])
    with pytest.raises(DataError, match="has paragraphs, and no question about any of them"):
        read(tmp_path / "none.json")
    squad(tmp_path / "empty.json", [question(("Ann", 0))], context="  ")
    with pytest.raises(DataError, match="nothing left to learn from: 1 row with an empty context"):
        learnable(read(tmp_path / "empty.json"))
    squad(tmp_path / "nowhere.json", [question(("Zoe", 0))])
    with pytest.raises(DataError, match="to learn from: 1 row with no answer that stands in"):
        learnable(read(tmp_path / "nowhere.json"))
    squad(tmp_path / "unsaid.json", [{"id": "h", "question": "Hidden?"}])
    with pytest.raises(DataError, match="nothing left: 1 row with nothing said of its answers"):
        read(tmp_path / "unsaid.json")
    with pytest.raises(DataError, match="No column of 'a' is called like a context"):
        answer_columns(["question", "b"], question=None, context=None, answers=None, source="a")
    with pytest.raises(DataError, match="'a' has no column 'x'"):
        answer_columns(["question", "b"], question="x", context=None, answers=None, source="a")


def test_other_tables_are_no_questions(tmp_path):
    for text in (
        "question,answer,label\na,b,1\nc,d,0\n", "text,label\na,b\n",
        "question,context,answers\na,b,c\n",  # a label may be called so
    ):  # fmt: skip
        (tmp_path / "a.csv").write_text(text, encoding="utf-8")
        assert answers_in(read_table(tmp_path / "a.csv")) == ""


@settings(max_examples=50)
@given(st.text(min_size=1, max_size=40).filter(str.strip), st.data())
def test_an_answer_is_found_again(tmp_path_factory, context, data):
    context = context.encode("utf-8", "ignore").decode().strip("\ufeff")
    if not context.strip():
        return
    start = data.draw(st.integers(0, len(context) - 1))
    text = context[start : data.draw(st.integers(start + 1, len(context)))]
    if not text.strip():
        return
    place = tmp_path_factory.mktemp("found")
    wrong = data.draw(st.sampled_from([start, -1, 10_000]))
    (found,) = answers_of(read(squad(place / "a.json", [question((text, wrong))], context)))
    assert [each.strip() for each in found] == [text.strip()]


def test_a_start_of_something_else_is_no_start_of_an_answer(tmp_path):
    """A column called start may hold times: what is in the column of answers is a label then."""
    row = {"question": "Who?", "context": CONTEXT, "start": 3}
    for answer, said in (("Bob", True), ("yes", False), ('["Bob"]', True), ('["yes"]', False)):
        path = tmp_path / "a.jsonl"
        path.write_text(json.dumps({**row, "answer": answer}) + "\n", encoding="utf-8")
        assert bool(answers_in(read_table(path))) == said


@pytest.mark.parametrize("start", ["0", "9"])
def test_places_of_chunks_and_labels_are_no_answers(start, tmp_path):
    lines = [f"who did {at},Section {at % 2}: Ann did,{start},99,{at % 2}" for at in range(20)]
    path = tmp_path / "a.csv"
    path.write_text("query,passage,start,end,label\n" + "\n".join(lines), encoding="utf-8")
    assert answers_in(read_table(path)) == ""


def test_what_cannot_be_answered_may_be_a_float(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "question,context,answer,answer_start,is_impossible\n"
        f"Who?,{CONTEXT},Ann,0,1.0\nWho?,{CONTEXT},Ann,0,0.0\n", encoding="utf-8",
    )  # fmt: skip
    assert list(read(path).labels) == ["[]", "[[0, 3]]"]


def test_answers_as_pandas_prints_them(tmp_path):
    path = tmp_path / "a.csv"
    said = "{'text': array(['Ann'], dtype=object), 'answer_start': array([0], dtype=int32)}"
    none = "{'text': array([], dtype=object), 'answer_start': array([], dtype=int32)}"
    rows = [("question", "context", "answers"), ("Who?", CONTEXT, said), ("Why?", CONTEXT, none)]
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    assert answers_in(read_table(path))
    assert answers_of(read(path)) == [["Ann"], []]


STORY = "NEW DELHI -- Ann came at noon \nand Bob came later."
NEWS = {"Who came first?": ["Ann"], "When?": ["noon"], "Why?": []}


def news_csv(path):
    """As the csv of NewsQA has them."""
    header = "story_id,question,answer_char_ranges,is_answer_absent,validated_answers,story_text"
    rows = [
        ("Who came first?", "13:16|13:16|13:21", "0.0", ""),
        ("When?", "None|22:30|None", "0.3", '{"none": 1, "25:30": 2}'),
        ("Why?", "None|None|13:16", "0.7", ""),
        ("Which?", "None", "0.0", '{"bad_question": 2}'),
    ]
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header.split(",")])
        csv.writer(stream).writerows([("./a.story", *row, STORY) for row in rows])


def test_places_with_more_digits_than_python_reads(tmp_path):
    """They are behind the end of every text, as other ones that are too large."""
    path, far = tmp_path / "a.csv", "9" * 5000
    header = "story_id,question,answer_char_ranges,validated_answers,story_text"
    row = f'a,Who?,{far}:{far},"{{""0:3"": 1e999}}",Ann came.'
    path.write_text(f"{header}\n{row}\n")
    assert answers_of(load_rows(str(path), options=ANSWERS)[0]) == [[]]
    questions = [{"q": "Who?", "consensus": {"s": far, "e": far}}]
    document = {"text": "Ann came.", "questions": questions}
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(document) + "\n")
    assert answers_of(load_rows(str(path), options=ANSWERS)[0]) == [[]]


def news_json(path):
    """As its JSON has them."""
    agreed = [{"s": 13, "e": 16}, {"s": 25, "e": 30}, {"noAnswer": True}, {"badQuestion": True}]
    questions = [{"q": question, "consensus": each, "isAnswerAbsent": 0, "answers": []}
                 for question, each in zip([*NEWS, "Which?"], agreed, strict=True)]  # fmt: skip
    story = {"storyId": "./a.story", "type": "train", "text": STORY, "questions": questions}
    path.write_text(json.dumps({"data": [story], "version": "1"}))


@pytest.mark.parametrize(("name", "write"), [("a.csv", news_csv), ("a.json", news_json)])
def test_newsqa(name, write, tmp_path, caplog):
    write(tmp_path / name)
    found, _, _ = load_rows(str(tmp_path / name), options=ANSWERS)
    questions, contexts = columns_of(found.texts)
    assert dict(zip(questions, answers_of(found), strict=True)) == NEWS
    assert {*contexts} == {STORY}
    assert "Dropped 1 row with nothing said of its answers" in caplog.text
    splits = load_splits(str(tmp_path / name), reading=lambda table, options: (
        replace(options, label_form="answers", classes=False, split="random")
        if answers_in(table) else options
    ))  # fmt: skip
    assert splits.train.label_form == "answers"
