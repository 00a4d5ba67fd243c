"""Few rows and the search for defaults: which rows, who is measured, and what tables say."""

from __future__ import annotations

import subprocess

import pytest

from benchmarks import cases, confirm, defaults, environments, few_rows, labelled_sets
from benchmarks.cases import Case
from benchmarks.data import folder, read_rows
from benchmarks.environments import environment, environment_of
from benchmarks.labelled_sets import BACKBONES, draw_rows, hold_out, read_set
from benchmarks.measure import MeasurementError
from benchmarks.options import RESULTS, Options
from benchmarks.record import Record
from benchmarks.report import _fill_page
from benchmarks.scoring import judged

ROWS = [(f"text {at}", label) for label, count in (("a", 40), ("b", 9), ("c", 1))
        for at in range(count)]  # fmt: skip


@pytest.fixture
def options(tmp_path, monkeypatch):
    monkeypatch.setattr(labelled_sets, "backbone", lambda options: tmp_path / "backbone")
    return Options(tmp_path, tmp_path / "results")


def counts(rows):
    return {label: sum(mine == label for _, mine in rows) for label in "abc"}


def raw(*correct, seconds=10.0, number=1):
    return {"round": number, "correct": list(correct), "macro_f1": 0.5, "fit_cpu_seconds": seconds,
            "cpu_seconds": seconds}  # fmt: skip


def test_each_class_gives_as_many_rows_as_it_has():
    drawn = draw_rows(ROWS, 8, 42)
    assert counts(drawn) == {"a": 8, "b": 8, "c": 1}
    assert drawn == draw_rows(ROWS, 8, 42) != draw_rows(ROWS, 8, 43)
    assert sorted(draw_rows(ROWS, None, 42)) == sorted(ROWS)


def test_all_rows_have_a_limit(monkeypatch):
    monkeypatch.setattr(labelled_sets, "MOST", 20)
    assert len(draw_rows(ROWS, None, 42)) == 20


def test_no_class_is_held_out_whole():
    kept, held = hold_out(ROWS)
    assert counts(kept) == {"a": 32, "b": 7, "c": 1}
    assert sorted(kept + held) == sorted(ROWS)


@pytest.mark.skipif(folder("LORA_BERT_DATA", "data") is None, reason="no data sets here")
@pytest.mark.parametrize("name", BACKBONES)
def test_no_training_text_of_a_set_is_a_test_text(name):
    known, held = read_set(name)
    assert 1000 < len(held) <= labelled_sets.TEST_ROWS
    assert not {text for text, _ in known} & {text for text, _ in held}
    assert {label for _, label in held} <= {label for _, label in known}


def test_a_set_that_is_not_here_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_BERT_DATA", str(tmp_path))
    with pytest.raises(MeasurementError, match="banking77 is not here"):
        read_set("banking77")


def test_answers_are_judged_row_by_row():
    found = judged(["a", "b", "b"], [("x", "a"), ("y", "b"), ("z", "a")])
    assert found["correct"] == [1, 1, 0]
    assert found["macro_f1"] == pytest.approx(2 / 3)


def test_everyone_is_given_the_same_rows_and_setfit_only_what_it_can_do(options):
    few = [(f"{label} {at}", str(label)) for label in range(77) for at in range(8)]
    names = [
        one.name.partition(": ")[2]
        for one in few_rows._contenders(options, Case("banking77", 8), few, few[:9], 42, "py")
    ]
    assert names == list(few_rows.CONTENDERS)
    pair = few[:16]
    found = few_rows._contenders(options, Case("waimai", 8), pair, pair, 42, "py")
    assert few_rows.STEPS not in [one.name.partition(": ")[2] for one in found]
    many = few_rows._contenders(options, Case("banking77", 64), few * 8, few, 42, "py")
    assert few_rows.ITERATIONS not in [one.name.partition(": ")[2] for one in many]
    without = few_rows._contenders(options, Case("waimai", 8), pair, pair, 42, "")
    assert not any("SetFit" in one.name for one in without)
    files = [one.arguments["workload"] for one in found]
    trainer = next(one for one in files if one["validation"])
    assert len(read_rows(trainer["train"])) + len(read_rows(trainer["validation"])) == 16
    assert all(read_rows(one["train"]) == pair for one in files if not one["validation"])


def test_seconds_and_points_are_compared_case_by_case():
    case, record = Case("waimai", 8), Record("few-rows")
    record.add(case.key(few_rows.OURS), raw(1, 1, 1, 0, seconds=10))
    record.add(case.key(few_rows.ITERATIONS), raw(1, 1, 1, 0, seconds=40))
    tables = few_rows.tables(record)
    assert tables[0].rows[0][1:] == ["75.0 (10)", "-", "-"]
    assert tables[-1].rows == [["waimai", "8", few_rows.ITERATIONS, "+0.00 (+0.00 to +0.00)",
                                "4.00x (4.00-4.00)"]]  # fmt: skip
    assert [one.reached for one in few_rows.goals(record)] == [True]
    record.figures[case.key(few_rows.ITERATIONS)] = [raw(1, 1, 1, 0, seconds=20)]
    assert [one.reached for one in few_rows.goals(record)] == [False]


def test_the_picture_is_drawn(tmp_path):
    record = Record("few-rows")
    for at, label in enumerate(few_rows.CONTENDERS):
        for size in few_rows.SIZES:
            record.add(Case("waimai", size).key(label), raw(1, 0, seconds=size + at))
    few_rows.plot(record, tmp_path / "few-rows.png")
    assert (tmp_path / "few-rows.png").stat().st_size > 10_000


def test_a_trial_is_named_by_what_it_changes():
    assert defaults.spelled(defaults.BEFORE) == "as before"
    assert defaults.spelled({**defaults.MIDDLE, "rank": 4}) == (
        "epochs=5, head_start=probe, pooling=mean, rank=4"
    )
    assert len(set(defaults.TRIALS.values())) == len(defaults.TRIALS)


def test_few_rows_and_early_stages_come_first():
    order = list(defaults._order())
    assert (order[0][0].size, order[0][1]) == (8, 0)
    assert (order[-1][0].size, order[-1][1]) == (None, len(defaults.STAGES) - 1)
    assert (
        len(set(order)) == len(order) == len(defaults.STAGES) * len(list(cases.cases((8, 64, 0))))
    )


@pytest.fixture
def measured(monkeypatch):
    """Trainings that need no processor: each takes half a CPU hour."""
    seen = []

    def fake(contenders, options, record, *, round_number):
        for one in contenders:
            if one.name not in record.figures:
                seen.append(one.name)
                record.add(one.name, raw(1, 0, seconds=1800, number=round_number))

    rows = [(f"{label} {at}", label) for label in "ab" for at in range(20)]
    for module in (defaults, confirm):
        monkeypatch.setattr(module, "measure_seed", fake)
        monkeypatch.setattr(module, "read_set", lambda name: (rows, rows[:4]))
    monkeypatch.setattr(defaults, "VALIDATION_ROWS", 4)
    return seen


@pytest.mark.parametrize("module", [defaults, confirm])
def test_the_searches_stop_when_their_hours_are_used_up(module, options, measured):
    record = module.measure(Options(options.work, options.results, hours=2.0))
    assert len(measured) == 4
    assert defaults.hours(record) == 2.0


def test_the_search_shows_what_a_change_did():
    record = Record("defaults")
    for data, middle, twice in (("banking77", (1, 0), (1, 1)), ("waimai", (1, 1), (1, 0))):
        record.add(Case(data, 8).key(defaults.TRIALS["the middle"]), raw(*middle))
        record.add(Case(data, 8).key(defaults.TRIALS["epochs 10"]), raw(*twice, seconds=20))
    table = defaults.tables(record)[0]
    assert table.header == ["trial", "banking77", "waimai", "mean change"]
    assert [row for row in table.rows if row[0] == "epochs 10"] == [
        ["epochs 10", "100.0 (20)", "50.0 (20)", "+0.0 of 2"]
    ]


def test_a_default_that_loses_is_seen():
    case, record = Case("waimai", 8), Record("confirm")
    record.add(case.key(confirm.OURS), raw(*[0] * 50))
    record.add(case.key(confirm.EARLIER), raw(*[1] * 50))
    record.add(case.key(cases.WORDS), raw(*[1] * 50))
    reached = {one.against: one.reached for one in confirm.goals(record)}
    assert reached[confirm.EARLIER] is reached[cases.WORDS] is False
    assert reached[cases.MEAN] is None


def test_an_environment_that_cannot_be_made_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    failed = subprocess.CompletedProcess([], 1, "", "noise\nERROR: No matching distribution\n")
    monkeypatch.setattr(environments.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(MeasurementError, match=r"nothing==1 .*ERROR: No matching distribution"):
        environment("setfit", ("nothing==1",))
    record = Record("few-rows")
    assert environment_of(("a", "b"), "setfit", ("nothing==1",), record) is None
    assert record.failed.keys() == {"a", "b"}
    assert "nothing==1 cannot be installed" in record.failed["a"]
    assert not (tmp_path / ".venv" / "setfit" / ".complete").exists()


def test_an_environment_is_made_once_and_sees_what_is_here(tmp_path, monkeypatch):
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    ran = subprocess.run
    calls = []

    def no_pip(command, **how):
        calls.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(environments.subprocess, "run", no_pip)
    python = environment("setfit", ("setfit",))
    assert environment("setfit", ("setfit",)) == python
    assert len(calls) == 1
    ran([python, "-c", "import click, numpy"], check=True)


def test_a_page_by_hand_keeps_its_words():
    page = "# Title\n<!-- benchmarks: few-rows -->\nstale figures\n<!-- end -->\nbelow\n"
    found = _fill_page(page, "few-rows", {}, RESULTS)
    assert found.startswith("# Title\n<!-- benchmarks: few-rows -->\n")
    assert "Not measured yet" in found
    assert "stale figures" not in found
    assert found.endswith("<!-- end -->\nbelow\n")
    assert _fill_page(found, "few-rows", {}, RESULTS) == found
