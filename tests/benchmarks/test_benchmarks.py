"""The benchmarks' own arithmetic and book-keeping; what they measure is not run here."""

from __future__ import annotations

import json
import math
import re
import sys

import pytest
from click.testing import CliRunner

from benchmarks import data, measure, ratios
from benchmarks.__main__ import main
from benchmarks.batches import longest_first, plan
from benchmarks.catalogue import NAMES, benchmark
from benchmarks.changes import changes
from benchmarks.measure import Contender, MeasurementError, alternate, once
from benchmarks.mfu import peak, useful_flops
from benchmarks.options import Options
from benchmarks.record import Goal, Record, Table, comparison, goal, new_record, read_record
from benchmarks.report import goals_by_machine, load_records, render
from benchmarks.roof import step_flops
from benchmarks.summary import summary


def figures(**rates):
    """Raw measurements of contenders, a round after the other."""
    return {
        name: [{"round": at, "rate": rate} for at, rate in enumerate(found, start=1)]
        for name, found in rates.items()
    }


@pytest.fixture
def options(tmp_path):
    return Options(work=tmp_path / "work", results=tmp_path / "results", command="here")


def test_ratio_is_taken_within_rounds():
    # The machine is half as fast in the second round; the ratio does not notice.
    found = ratios.ratio(figures(ours=[100, 50, 90], peer=[50, 25, 30]), "ours", "peer", "rate")
    assert (found.median, found.low, found.high) == (2, 2, 3)


def test_ratio_uses_the_rounds_that_both_were_measured_in():
    found = ratios.ratio(figures(ours=[100, 50, 90], slow=[10]), "ours", "slow", "rate")
    assert (found.median, found.low, found.high) == (10, 10, 10)
    assert ratios.ratio(figures(ours=[100]), "ours", "absent", "rate") is None


def test_advantage_is_over_the_best_peer_and_above_one_is_better():
    found = figures(ours=[100, 100], weak=[20, 20], strong=[50, 50])
    more = ratios.advantage(found, ["ours"], ["weak", "strong"], "rate", higher=True)
    less = ratios.advantage(found, ["ours"], ["weak", "strong"], "rate", higher=False)
    assert more.median == 2
    assert less.median == 0.2
    assert ratios.advantage(found, ["absent"], ["weak"], "rate", higher=True) is None


def test_median_of_an_even_number_of_rounds():
    assert ratios.median(figures(ours=[1, 2, 3, 10]), "ours", "rate") == 2.5


def test_percentiles_are_interpolated():
    ordered = [0.0, 1.0, 2.0, 3.0, 4.0]
    assert ratios.percentile(ordered, 0.5) == 2
    assert ratios.percentile(ordered, 0.99) == pytest.approx(3.96)
    assert ratios.percentile([7.0], 0.99) == 7


def test_paired_interval_holds_the_difference_and_not_what_both_share():
    rows = 1000
    theirs = [[int(at % 2 == 0) for at in range(rows)]] * 3  # half are hard for everyone
    ours = [[int(at % 2 == 0 or at % 50 == 1) for at in range(rows)]] * 3
    middle, low, high = ratios.paired_interval(ours, theirs, resamples=500)
    assert middle == pytest.approx(0.02)
    assert 0.005 < low < middle < high < 0.035
    same = ratios.paired_interval(theirs, theirs, resamples=100)
    assert same == (0, 0, 0)


def test_paired_interval_knows_that_seeds_differ():
    rows = 400
    theirs = [[1] * rows] * 3
    lucky = [[1] * rows, [1] * rows, [1] * 300 + [0] * 100]
    _, low, high = ratios.paired_interval(lucky, theirs, resamples=500)
    assert low < -0.15
    assert high == 0


def test_plan_gives_full_batches_of_like_length():
    lengths = [5, 50, 6, 51, 7, 52, 9]
    found = plan(lengths, 2)
    assert sorted(map(sorted, found.batches)) == [[0, 2], [1, 3], [4, 6]]
    assert (found.rows, found.useful, found.padded) == (6, 128, 132)
    assert found.padding == pytest.approx(4 / 132)


def test_longest_first_keeps_every_row():
    assert longest_first([3, 9, 5], 2) == [[1, 2], [0]]


def test_step_flops_count_what_a_step_needs():
    # One layer, no adapter to speak of: 4 square products and the feed-forward pair, forward and
    # towards the input, less q, k and v towards an input that nothing below needs; attention.
    hidden, inner, length = 8, 32, 10
    products = 4 * (4 * hidden * hidden + 2 * hidden * inner) - 3 * 2 * hidden * hidden
    attention = 3 * 2 * 2 * length * length * hidden
    assert step_flops([length], hidden, inner, 1, 0) == length * products + attention
    assert step_flops([length] * 3, hidden, inner, 1, 0) == 3 * (length * products + attention)
    assert step_flops([length], hidden, inner, 1, 4) > step_flops([length], hidden, inner, 1, 0)


def test_useful_flops_leave_out_what_the_last_layer_need_not_compute():
    raw = {"hidden": 8, "inner": 32, "layers": 3}
    whole, tokens = step_flops([10] * 4, 8, 32, 3, 8), 40
    missing = tokens * (4 * (8 * 8 + 2 * 8 * 32) + 6 * 8 * (8 + 8 + 2 * (8 + 32)))
    missing += 12 * 8 * 4 * 10 * 10  # what little attention a single query needs is not counted
    assert useful_flops(raw, 10, 4) == whole - missing


def test_the_peak_is_that_of_the_gpus_own_kind():
    assert peak("NVIDIA H100 80GB HBM3") == peak("NVIDIA H200") == 989e12
    assert peak("NVIDIA H100 PCIe") == 756e12
    assert peak("NVIDIA A100-SXM4-80GB") == 312e12
    assert peak("NVIDIA L4") == 121e12
    assert peak("") is peak("NVIDIA GeForce GTX 1080") is None


def test_what_a_gpu_reached_stands_on_one_screen(tmp_path):
    gpu = {"gpu": "NVIDIA H200", "cpu": "A CPU"}
    fast = Record("train-cuda", machine=gpu)
    rates = {"lora-bert": 900, "HF best on CUDA": 200, "HF best on CUDA, no dropout, compiled": 250}
    share = Record("mfu-cuda", machine=gpu)
    seconds = {"hidden": 768, "inner": 3072, "layers": 12, "seconds": 0.04}
    share.add("lora-bert, 256 x 128", {"round": 1, "tokens_per_second": 800_000.0, **seconds})
    for name, rate in rates.items():
        fast.add(name, {"round": 1, "rate": rate})
    for record in (fast, share, Record("run", machine={"cpu": "A CPU"})):
        record.save(tmp_path)
    (tmp_path / "gpu-stages.txt").write_text("tests: done in 40 s\n")
    text = summary(tmp_path)
    assert text.strip().startswith("tests: done in 40 s")
    assert "train-cuda: NVIDIA H200" in text
    assert "3.60x (3.60-3.60)" in text
    assert "28%, batches of 256" in text
    assert "── run" not in text


def test_once_returns_what_a_fresh_process_found(tmp_path):
    raw = once(Contender("cpu", "benchmarks.startup:cpu_seconds",
                         {"line": [sys.executable, "-c", "print('noise')"]}), tmp_path)  # fmt: skip
    assert 0 < raw["seconds"] < 10
    assert raw["wall"] >= raw["process_seconds"] > 0
    assert raw["peak_rss"] > 1_000_000


def test_once_says_why_a_process_failed(tmp_path):
    broken = Contender("broken", "benchmarks.startup:no_such_function")
    with pytest.raises(MeasurementError, match="no_such_function"):
        once(broken, tmp_path)


@pytest.fixture
def counted(monkeypatch):
    """Measuring without a process: what was measured, in order; ``broken`` fails."""
    seen = []

    def fake(contender, work, *, round_number):
        seen.append((round_number, contender.name))
        if contender.name == "broken":
            raise MeasurementError("it broke")
        return {"round": round_number, "rate": 1.0}

    monkeypatch.setattr(measure, "once", fake)
    return seen


def run_rounds(options, record, *contenders, rounds):
    alternate(contenders, options, record, rounds=rounds, show=str)


def test_contenders_take_turns(options, counted):
    record = Record("train")
    ours, peer, slow = (
        Contender("ours", ""),
        Contender("peer", ""),
        Contender("slow", "", at_most=1),
    )
    run_rounds(options, record, ours, peer, slow, rounds=2)
    assert counted == [(1, "ours"), (1, "peer"), (1, "slow"), (2, "peer"), (2, "ours")]
    assert [raw["round"] for raw in record.figures["ours"]] == [1, 2]
    assert read_record(options.results / "train.json") == record


def test_which_rows_were_right_is_one_word_in_the_file(tmp_path):
    record = Record("accuracy")
    record.add("ours", {"round": 1, "correct": [1, 0, 1], "seconds": [1.5, 0]})
    path = record.save(tmp_path)
    assert '"correct": "101"' in path.read_text(encoding="utf-8")
    assert read_record(path) == record


def test_a_contender_that_fails_stops_nobody_else(options, counted):
    record = Record("train")
    run_rounds(options, record, Contender("broken", ""), Contender("ours", ""), rounds=2)
    assert record.failed == {"broken": "it broke"}
    assert counted.count((1, "broken")) == 1
    assert len(record.figures["ours"]) == 2


def test_a_run_goes_on_where_it_was_broken_off(options, counted):
    first = new_record("layers", options, rows=(1, 2))
    run_rounds(options, first, Contender("ours", ""), rounds=1)
    resumed = Options(options.work, options.results, resume=True)
    record = new_record("layers", resumed, rows=(1, 2))
    run_rounds(options, record, Contender("ours", ""), Contender("peer", ""), rounds=1)
    assert counted == [(1, "ours"), (1, "peer")]
    assert new_record("layers", resumed, rows=3).figures == {}
    assert new_record("layers", options, rows=(1, 2)).figures == {}


def test_tables_align_and_compare():
    record = Record("train", figures=figures(ours=[100, 110], peer=[50, 50]))
    table = comparison(record, "Speed", "rate", "examples/s", base=["ours"])
    assert [row[0] for row in table.rows] == ["ours", "peer"]
    assert table.rows[1][-1] == "2.10x (2.00-2.20)"
    assert table.rows[0][1:3] == ["105", "100-110"]
    assert table.markdown().splitlines()[1] == "| " + " | ".join(["---"] * 5) + " |"
    header, rule, first, second = table.plain().splitlines()[2:]
    assert header.index("range") == first.index("100-110") == second.index("50-50")
    assert set(rule) == {"-", " "}


def test_goals_are_judged_by_the_median():
    found = ratios.ratio(figures(ours=[4, 5, 6], peer=[2, 2, 2]), "ours", "peer", "rate")
    assert goal("a", "b", 2.5, found).reached is True
    assert goal("a", "b", 2.6, found).reached is False
    assert goal("a", "b", 2.5, None) == Goal("a", "b", "2.5x", "not measured", None)


def test_changes_are_counted_in_labels_and_logits(tmp_path):
    def answers(name, logits):
        lines = []
        for logit, label in zip(logits, "nnyy", strict=True):
            share = 1 / (1 + math.exp(-logit))
            row = {"label": label, "prediction": "y" if share > 0.5 else "n"}
            lines.append(json.dumps({**row, "prob_n": 1 - share, "prob_y": share}))
        (tmp_path / name).write_text("\n".join(lines))
        return tmp_path / name

    exact = answers("exact", [-1.0, 0.1, 2.0, 3.0])
    found = changes(answers("rounded", [-1.2, -0.1, 2.2, 3.2]), exact)
    # Every difference of the two logits moves by 0.2, each logit by half of that.
    assert found == {"moved": 0.25, "logit_rms": pytest.approx(0.1), "gained": 0.25}
    assert changes(exact, exact) == {"moved": 0, "logit_rms": 0, "gained": 0}


def test_report_holds_every_benchmark_and_what_was_measured(tmp_path):
    results, docs = tmp_path / "benchmarks" / "results", tmp_path / "docs"
    docs.mkdir()
    record = Record(
        "train",
        command="python -m benchmarks train --rounds 2",
        date="2026-01-02T03:04:05+00:00",
        machine={"cpu": "A CPU", "cores": 2, "instruction_sets": ["avx2"], "memory_gb": 8.0},
        versions={"torch": "9.9"},
        settings={"rows": 960},
    )
    for name, rate in (("lora-bert", 100.0), ("HF strongest", 40.0), ("HF float32", 20.0)):
        record.add(name, {"round": 1, "rate": rate})
    record.failed["HF bf16=True"] = "no such thing"
    record.save(results)
    text = render(load_records(results), results, docs)
    for name in NAMES:
        assert f"\n## {name}\n" in text
    assert "python -m benchmarks train --rounds 2" in text
    assert "2026-01-02" in text
    assert "A CPU, 2 cores (avx2)" in text
    assert "torch 9.9" in text
    assert "Not measured: HF bf16=True (no such thing)." in text
    assert "Not measured yet: `python -m benchmarks run`." in text


def test_machines_stand_side_by_side(tmp_path):
    results, docs = tmp_path / "benchmarks" / "results", tmp_path / "docs"
    docs.mkdir()
    for name, cpu, sets, peers in (
        ("train", "Intel(R) Xeon(R) Processor", ["avx2", "amx_bf16"], ("strongest", "float32")),
        ("train@other", "AMD EPYC", ["avx2"], ("strongest",)),
    ):
        record = Record(name, machine={"cpu": cpu, "instruction_sets": sets})
        record.add("lora-bert", {"round": 1, "rate": 100.0})
        for peer in peers:
            record.add(f"HF {peer}", {"round": 1, "rate": 40.0 if sets[1:] else 10.0})
        record.save(results)
    records = load_records(results)
    goals = [
        (record.processor, one.against, one.least, one.reached)
        for record, one in goals_by_machine(records)
        if record.benchmark == "train"
    ]
    assert ("AMD EPYC", "the strongest HF recipe", "2.2x", True) in goals
    assert ("Intel Xeon, AMX", "the strongest HF recipe", "4x", False) in goals
    # What one of them has measured is not said to be missing on the other.
    assert [one[0] for one in goals if "float32" in one[1]] == ["Intel Xeon, AMX"]
    text = render(records, results, docs)
    slower, faster = (text.index(f"batches of 32, no cache ({cpu})\n")
                      for cpu in ("AMD EPYC", "Intel Xeon, AMX"))  # fmt: skip
    assert slower < faster


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_can_show_an_empty_record(name):
    module = benchmark(name)
    assert module.SUMMARY
    assert module.NOTES.endswith("\n")
    for table in module.tables(Record(name)):
        assert isinstance(table, Table)
        assert table.plain()
    assert all(one.reached is None for one in module.goals(Record(name)))


def test_the_list_names_every_benchmark():
    shown = CliRunner().invoke(main, []).output
    assert [line.split()[0] for line in shown.splitlines()] == [*NAMES, "report"]
    assert re.search(r"^run .*\(\d+ min on .+\)$", shown, re.MULTILINE)
    assert shown.strip() in CliRunner().invoke(main, ["--help"]).output.replace("\n  ", "\n")


def test_quick_results_never_replace_measured_ones(monkeypatch):
    seen = []
    monkeypatch.setattr("benchmarks.__main__._measure", lambda name, options: seen.append(options))
    assert CliRunner().invoke(main, ["train", "--quick"]).exit_code == 0
    assert CliRunner().invoke(main, ["train", "--device", "cuda"]).exit_code == 0
    assert CliRunner().invoke(main, ["train", "--machine", "laptop"]).exit_code == 0
    quick, whole, elsewhere = seen
    assert quick.results != whole.results
    assert (quick.rounds_or(5), whole.rounds_or(5)) == (1, 5)
    assert (quick.name("train"), whole.name("train")) == ("train", "train-cuda")
    assert elsewhere.name("train") == "train@laptop"


def test_rows_survive_their_file(tmp_path):
    rows = [("好吃\n很快", "1"), ('"', "0")]
    data.write_rows(tmp_path / "rows.jsonl", rows)
    assert data.read_rows(tmp_path / "rows.jsonl") == rows


def test_made_up_rows_are_as_long_as_the_real_ones():
    lengths = sorted(len(text) for text, _ in data.synthetic_rows("waimai", 4000))
    assert 10 < lengths[2000] < 18
    assert 60 < lengths[3960] < 120
    assert data.synthetic_rows("waimai", 5) == data.synthetic_rows("waimai", 5)


def test_workload_is_divided_without_overlap(tmp_path, monkeypatch):
    rows = [(f"text {at}", str(at % 2)) for at in range(1000)]
    monkeypatch.setattr(data, "real_rows", lambda name: list(rows))
    monkeypatch.setattr(data, "backbone", lambda options: tmp_path)
    found = data.prepare(Options(tmp_path, tmp_path), rows=300, test_rows=50)
    parts = [data.read_rows(path) for path in (found.train, found.validation, found.test)]
    assert [len(part) for part in parts] == [300, 64, 50]
    assert len({text for part in parts for text, _ in part}) == 414
    assert data.Workload(**found.as_json()) == found

    spare = data.prepare(Options(tmp_path, tmp_path), rows=300, spare=True)
    left = {text for text, _ in rows} - {text for part in parts[:2] for text, _ in part}
    assert {text for text, _ in data.read_rows(spare.test)} == left
