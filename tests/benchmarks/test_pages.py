"""The page for readers and the READMEs' tables, written from records."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import growth, predict, startup
from benchmarks.__main__ import main
from benchmarks.catalogue import benchmark
from benchmarks.options import RESULTS, ROOT, Options
from benchmarks.overview import overview
from benchmarks.questions import PREDICT, RUN
from benchmarks.readme import fill
from benchmarks.record import Record
from benchmarks.report import goals_by_machine, load_records, write_report

EPYC = {"cpu": "AMD EPYC", "cores": 2, "instruction_sets": ["avx2"]}
XEON = {"cpu": "Intel(R) Xeon(R) Processor", "cores": 2, "instruction_sets": ["amx_bf16"]}


def a_record(name, machine, key, **figures):
    record = Record(name, machine=machine, versions={"lora-bert": "0.1.0 (abc1234)"})
    for contender, found in figures.items():
        for at, value in enumerate(found, start=1):
            record.add(contender, {"round": at, key: value, "accuracy": 0.9})
    return record


def a_run(name, machine, ours):
    figures = {"lora-bert, defaults": [ours, ours], "HF strongest": [100, 110]}
    return a_record(name, machine, "seconds", **figures)


@pytest.fixture
def records():
    both = [a_run("run", XEON, 10), a_run("run@epyc", EPYC, 20)]
    return {record.name: record for record in both}


def test_a_question_is_answered_by_processor_the_slower_one_first(records):
    table = RUN.table(records.values())
    assert table.header == ["", "AMD EPYC (abc1234)", "Intel Xeon, AMX (abc1234)"]
    assert table.rows == [
        ["lora-bert, defaults", "20 s", "10 s"],
        ["PEFT + Trainer, fastest recipe", "105 s (5.2x)", "105 s (10.5x)"],
    ]


def test_the_best_contender_counts():
    figures = {"lora-bert openvino": [300.0], "OpenVINO by hand bf16 sync": [100.0],
               "OpenVINO by hand bf16 queue": [200.0]}  # fmt: skip
    table = PREDICT.table([a_record("predict", XEON, "rate", **figures)])
    assert table.rows[1] == ["OpenVINO by hand", "200 rows/s (1.5x)"]


def test_the_page_answers_each_question_and_says_what_was_missed(records):
    text = overview(records, goals_by_machine(records), "there/performance.png")
    assert text.index("there/performance.png") < text.index("## How long will my run take?")
    assert "| PEFT + Trainer, fastest recipe | 105 s (5.2x) | 105 s (10.5x) |" in text
    assert "Not measured yet: `python -m benchmarks memory`." in text
    goal = "| whole 3-epoch run, our defaults with trunk cache | strongest HF recipe |"
    reached = text.partition("### Reached")[2]
    assert f"{goal} 5x | 5.25x (5.00-5.50) | AMD EPYC | abc1234 |" in reached
    assert f"{goal} 8x | 10.50x (10.00-11.00) | Intel Xeon, AMX | abc1234 |" in reached
    slow = {"run": a_run("run", XEON, 20)}
    missed = overview(slow, goals_by_machine(slow), "").partition("### Reached")[0]
    assert f"{goal} 8x | 5.25x" in missed


def test_results_elsewhere_leave_the_documents_alone(records, tmp_path):
    before = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    for record in records.values():
        record.save(tmp_path)
    shown = CliRunner().invoke(main, ["report", "--results", str(tmp_path)]).output
    assert str(tmp_path / "performance.md") in shown
    assert "(performance.png)" in (tmp_path / "performance.md").read_text(encoding="utf-8")
    assert (tmp_path / "performance.png").stat().st_size > 10_000
    assert (tmp_path / "benchmarks.md").is_file()
    assert (ROOT / "docs" / "performance.md").read_text(encoding="utf-8") == before


def test_no_results_make_a_page_without_a_picture(tmp_path):
    write_report(tmp_path)
    assert "![" not in (tmp_path / "performance.md").read_text(encoding="utf-8")


def test_readmes_get_their_tables(records):
    text = "Before\n<!-- benchmarks: run zh -->\nold\n<!-- end -->\nAfter\n"
    found = fill(text, records)
    assert "old" not in found
    assert "| lora-bert，默认设置 | 20 s | 10 s |\n| PEFT" in found
    assert found.endswith("|\n<!-- end -->\nAfter\n")
    assert fill(found, records) == found


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_readmes_say_what_was_measured(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert text.count("<!-- benchmarks: ") == 2
    assert fill(text, load_records(RESULTS)) == text, "run python -m benchmarks report"


@pytest.mark.parametrize(
    ("name", "what", "least"),
    [
        ("run", "strongest HF recipe, at our depth", ("3.5x", "5x")),
        ("train", "the same with dropout off in its frozen layers", ("1.6x", "2.7x")),
        ("roof", "GEMM rate of the same run", ("65%", "25%")),
        ("predict", "OpenVINO bf16 by hand, tokenising included", ("1.2x", "1.4x")),
        ("predict", "OpenVINO int8 (NNCF) by hand", ("1.1x", "1.1x")),
        ("growth", "a csv of 100 MB", ("at most 1.1x", "at most 1.1x")),
        ("accuracy", "HF strongest", ("above -0.5 point", "above -0.5 point")),
    ],
)
def test_what_must_be_reached_depends_on_the_processor(name, what, least):
    for machine, wanted in zip((EPYC, XEON), least, strict=True):
        goals = benchmark(name).goals(Record(name, machine=machine))
        assert {one.least for one in goals if one.against == what} == {wanted}


def test_int8_is_judged_by_itself_and_only_where_it_moves_few_labels():
    figures = {"lora-bert torch merged int8": [290.0], "lora-bert openvino int8": [500.0],
               "OpenVINO by hand int8 sync": [250.0],
               "OpenVINO by hand bf16 sync": [180.0], "OpenVINO by hand bf16 queue": [200.0],
               "lora-bert openvino": [210.0]}  # fmt: skip
    record = a_record("predict", XEON, "rate", **figures)
    for name, moved in (("lora-bert torch merged int8", 0.001), ("lora-bert openvino int8", 0.02)):
        record.figures[name][0] |= {"moved": moved, "logit_rms": 0.01, "gained": -0.001}
    assert predict.tables(record)[1].rows[1] == [
        "lora-bert openvino int8", "2.00 %", "0.0100", "-0.10"
    ]  # fmt: skip
    goals = predict.goals(record)
    measured = [one.measured for one in goals if one.what == "predicting, int8"]
    assert measured == ["1.45x (1.45-1.45)", "1.16x (1.16-1.16)"]
    shown = {(one.what, one.against): one.reached for one in goals}
    assert shown["predicting, int8", "OpenVINO bf16 by hand"] is True
    assert shown["predicting, int8", "OpenVINO int8 (NNCF) by hand"] is True
    # int8 does not count among the engines of the same precision.
    assert shown[
        "predicting, best engine, bfloat16", "OpenVINO bf16 by hand, tokenising included"
    ] is False  # fmt: skip


def test_growth_is_judged_by_private_memory():
    record = Record("growth")
    for rows, private in ((100_000, 100), (1_000_000, 109)):
        memory = {"peak_private": private, "peak_rss": rows, "seconds_per_row": 1.0}
        record.add(f"train {rows} rows", {"round": 1, **memory})
    training, predicting, csv = growth.goals(record)
    assert (training.measured, training.reached) == ("1.09x (1.09-1.09)", True)
    assert predicting.reached is csv.reached is None
    assert (csv.what, csv.against) == ("private memory, training, a csv of 1 GB", "a csv of 100 MB")


def test_growth_measures_each_number_of_rows_on_a_file_of_so_many(tmp_path, monkeypatch):
    met = {}

    def counted(contenders, options, record, **given):
        for one in contenders:
            if one.name.endswith(" rows"):
                source = one.arguments.get("source") or one.arguments["workload"]["train"]
                met[one.name] = len(Path(source).read_text(encoding="utf-8").splitlines())

    monkeypatch.setattr(growth, "ROWS", (10, 20))
    monkeypatch.setattr(growth, "once", lambda *given: None)
    monkeypatch.setattr(growth, "random_backbone", lambda *given: tmp_path)
    monkeypatch.setattr(growth, "alternate", counted)
    growth.measure(Options(work=tmp_path, results=tmp_path, rows=20))
    assert met == {
        f"{what} {rows} rows": rows for rows in (10, 20) for what in ("train", "predict")
    }


def test_a_first_answer_is_held_against_its_imports():
    figures = {startup.TORCH: [1.0, 1.2], startup.ADAPTER: [1.3, 1.5],
               startup.OPENVINO: [0.2], startup.EXPORTED: [0.5]}  # fmt: skip
    record = a_record("startup", XEON, "wall_seconds", **figures)
    adapter, exported, helps = startup.goals(record)
    assert (adapter.measured, adapter.reached) == ("+0.30 s", True)
    assert (exported.measured, exported.reached) == ("+0.30 s", False)
    assert helps.reached is None
    assert startup.tables(record)[0].rows[1] == [startup.ADAPTER, "1.40", "1.30-1.50", "0.30"]
