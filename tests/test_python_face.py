"""What Python's functions take, say and show: keywords, errors in Python's words, notes, reprs."""

from __future__ import annotations

import inspect
import logging
import re
import sys
import types
import typing

import numpy as np
import pytest

import lora_bert
from lora_bert import config
from lora_bert.config import keywords
from lora_bert.errors import ConfigError, DataError, LoraBertError
from lora_bert.names import parse_label_names, parse_names
from lora_bert.options import build, options_of
from lora_bert.python_face import in_python
from tests.tiny import write_backbone

FUNCTIONS = {
    lora_bert.train: (config.TrainConfig, keywords.TrainOptions),
    lora_bert.evaluate: (config.EvaluateConfig, keywords.EvaluateOptions),
    lora_bert.load: (config.LoadConfig, keywords.LoadOptions),
    lora_bert.merge: (config.MergeConfig, keywords.MergeOptions),
    lora_bert.combine: (config.CombineConfig, keywords.CombineOptions),
    lora_bert.export: (config.ExportConfig, keywords.ExportOptions),
    lora_bert.verify: (config.VerifyConfig, keywords.VerifyOptions),
    lora_bert.convert_backbone: (config.ConvertConfig, keywords.ConvertOptions),
}
each = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda one: one.__name__)


@each
def test_an_editor_sees_every_keyword(function):
    kind, typed = FUNCTIONS[function]
    own = {name for name, one in inspect.signature(function).parameters.items()
           if one.kind is not inspect.Parameter.KEYWORD_ONLY}  # fmt: skip
    assert set(typing.get_type_hints(typed)) | own == set(options_of(kind))
    shown = inspect.signature(function).parameters
    assert set(shown) == set(options_of(kind))
    for name, option in options_of(kind).items():
        if name not in own:
            assert shown[name].default == option.default


@each
def test_help_says_what_every_option_is(function):
    _, typed = FUNCTIONS[function]
    options = inspect.getdoc(function).partition("\n\nOptions:\n")[2]
    for name in typing.get_type_hints(typed):
        assert re.search(rf"^    {name}: \w", options, re.MULTILINE), name
    assert "--" not in options


@each
def test_a_misspelt_keyword(function):
    needed = {one.name: "x" for one in inspect.signature(function).parameters.values()
              if one.default is inspect.Parameter.empty}  # fmt: skip
    name = list(inspect.signature(function).parameters)[-1]
    with pytest.raises(ConfigError, match=f"Unknown option '{name}s'") as caught:
        function(**needed, **{f"{name}s": 1})
    assert caught.value.hint == f"Did you mean '{name}'?"
    assert caught.value.__notes__ == [caught.value.hint]


def test_the_issue_s_own_slip():
    with pytest.raises(ConfigError) as caught:
        lora_bert.train(learning_rat=1)
    assert caught.value.hint == "Did you mean 'learning_rate'?"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Name the label column with --label-column.", "Name the label column with label_column=….")
        ,
        ("Lower --learning-rate.", "Lower learning_rate."),
        ("--rank 0: LoRA matrices", "rank=0: LoRA matrices"),
        ("--device cuda: no NVIDIA GPU", "device='cuda': no NVIDIA GPU"),
        ("If it has none: --no-header with --columns text,label (names in the file's order).",
         "If it has none: header=False with columns='text,label' (names in the file's order)."),
        ("Give the options of the first call, or begin anew with --overwrite.",
         "Give the options of the first call, or begin anew with overwrite=True."),
        ("Name them with --data (and for --baseline with --train), or",
         "Name them with data=… (and for baseline=True with train=…), or"),
        ("Use --max-length 130 or less.", "Use max_length=130 or less."),
        ("--metric macro_f1 --class-weights balanced",
         "metric='macro_f1', class_weights='balanced'"),
        ("If it has none: --no-header --columns text,label (guessed).",
         "If it has none: header=False, columns='text,label' (guessed)."),
        ("""Name it: --label-names '"[""x"", ""y""]"=NAME'.""",
         """Name it: label_names='"[""x"", ""y""]"=NAME'."""),
        ("""Join them: --label-names 'it'"'"'s a=b'.""", """Join them: label_names="it's a=b"."""),
        ("'x' has no column '--label-column'.", "'x' has no column '--label-column'."),
        ("the adapter's label '--rank 8' is not in --data.",
         "the adapter's label '--rank 8' is not in data."),
        ("--labels is for adapters", "--labels is for adapters"),
        ("a--rank, ---rank, --ranks, --no-rank", "a--rank, ---rank, --ranks, rank"),
        ("Convert it once: lora-bert convert-backbone x/y OUT",
         "Convert it once: lora_bert.convert_backbone('x/y', 'OUT')."),
        ("lora-bert export 'a b' OUT --format onnx",
         "lora_bert.export('a b', 'OUT', format='onnx')."),
        ("See: lora-bert cache list", "See: lora-bert cache list"),
    ],
)  # fmt: skip
def test_options_are_named_as_python_has_them(said, meant):
    assert in_python(said, options_of(config.TrainConfig) | options_of(config.EvaluateConfig) if
                     "baseline" in said else options_of(config.TrainConfig)) == meant  # fmt: skip


def test_an_error_speaks_python_to_python_and_flags_to_the_shell(tmp_path, capsys):
    from lora_bert.cli.app import run

    path = tmp_path / "a.csv"
    path.write_text("foo,bar\nx,y\n")
    with pytest.raises(DataError) as caught:
        lora_bert.train(path, output=tmp_path / "out")
    assert caught.value.hint == "Name the text column with text_column=…."
    log = logging.getLogger("lora_bert")
    was = (log.handlers, log.level, log.propagate)
    try:
        assert run(["train", "--data", str(path), "--output", str(tmp_path / "out")]) == 65
    finally:
        log.handlers, log.level, log.propagate = was
    assert "Name the text column with --text-column." in capsys.readouterr().err


def test_inside_evaluate_errors_keep_their_flags_for_the_shell(adapter, reviews, capsys):
    from lora_bert.cli.app import run

    log = logging.getLogger("lora_bert")
    was = (log.handlers, log.level, log.propagate)
    try:
        run(["evaluate", str(adapter), "--data", str(reviews), "--engine", "onnx"])
    finally:
        log.handlers, log.level, log.propagate = was
    error = capsys.readouterr().err
    assert "--engine onnx:" in error
    assert "--format onnx" in error
    with pytest.raises(ConfigError, match=r"^engine='onnx':") as caught:
        lora_bert.evaluate(adapter, reviews, engine="onnx")
    assert "format='onnx')" in caught.value.hint


WRONG = [None, 5, [1, 2], b"x", float("nan"), object(), {"a": 1}, "", True]
NAMED = ["None", "number", "numbers", "bytes", "nan", "object", "dict", "empty", "True"]
CALLS = {
    "train": lambda bad, here: lora_bert.train(bad, output=here / "o", epochs=1, limit=bad),
    "train rows": lambda bad, here: lora_bert.train(train=bad, backbone="absent", output=here),
    "train backbone": lambda bad, here: lora_bert.train(backbone=bad, rank=bad, output=here / "o"),
    "evaluate": lambda bad, _: lora_bert.evaluate(bad),
    "load": lambda bad, _: lora_bert.load(bad),
    "load engine": lambda bad, _: lora_bert.load("absent", engine=bad),
    "merge": lambda bad, here: lora_bert.merge(bad, here / "m"),
    "merge output": lambda bad, _: lora_bert.merge("absent", bad),
    "combine": lambda bad, here: lora_bert.combine(bad, here / "m"),
    "combine weights": lambda bad, here: lora_bert.combine(["a", "b"], here / "m", weights=bad),
    "export": lambda bad, here: lora_bert.export(bad, here / "m"),
    "verify": lambda bad, _: lora_bert.verify(bad),
    "convert": lambda bad, here: lora_bert.convert_backbone(bad, here / "c"),
    "backbone_path": lambda bad, _: lora_bert.backbone_path(bad),
}


USUAL = {("train", None), ("train rows", None), ("train backbone", None)}
"""None stands for the default there."""


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        pytest.param(name, bad, id=f"{name}-{called}")
        for name in CALLS
        for bad, called in zip(WRONG, NAMED, strict=True)
        if (name, bad if bad is None else 0) not in USUAL
    ],
)
def test_what_is_wrong_is_one_sentence(name, bad, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(LoraBertError) as caught:
        CALLS[name](bad, tmp_path)
    said = str(caught.value)
    assert said.endswith(".")
    assert "\n" not in said
    assert "--" not in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"min_score": 3}, "min_score: 3 is too large (at least 0 and at most 1)."),
        ({"min_score": "half"}, "min_score: 'half' is not a number."),
        ({"max_answer_length": 5}, "max_answer_length is for question answering, and this is a"),
        ({"otherwise": "ask"}, "otherwise needs min_score: the probability below which"),
        ({"min_score": 0.5, "otherwise": " "}, "otherwise: the answer is empty."),
        ({"min_score": 0.5, "otherwise": 5}, "otherwise: 5 is not a text."),
    ],
)
def test_what_is_wrong_with_a_refusal_is_said_in_python(adapter, options, said):
    with pytest.raises(ConfigError) as caught:
        lora_bert.load(adapter).predict(["good"], **options)
    assert str(caught.value).startswith(said)
    assert "--" not in str(caught.value.hint)


def test_a_table_is_no_list_of_texts(adapter):
    """Its columns' names would be answered in place of its rows."""
    pandas = pytest.importorskip("pandas")
    predictor = lora_bert.load(adapter)
    with pytest.raises(ConfigError, match="not DataFrame") as caught:
        predictor.predict(pandas.DataFrame({"text": ["good"]}))
    assert caught.value.hint == "Its column of texts is meant: table['text']."
    assert len(predictor.predict(pandas.Series(["good", "bad"]))) == 2


@pytest.mark.parametrize("bad", ["good", b"good", None, 5, float("nan"), [1, 2], [None], {"a": 1},
                                 ["good", b"bad"], np.array([1.0])], ids=repr)  # fmt: skip
def test_texts_are_a_list_of_texts(adapter, bad):
    predictor = lora_bert.load(adapter)
    for call in (predictor.predict, predictor.probabilities, lambda one: list(
        predictor.stream([one])
    )):  # fmt: skip
        with pytest.raises(ConfigError, match=r"list of texts is needed") as caught:
            call(bad)
        assert isinstance(caught.value, TypeError)  # as it was before
    with pytest.raises(ConfigError):
        list(predictor.stream("good"))


def test_texts_may_be_any_sequence(adapter):
    predictor = lora_bert.load(adapter)
    expected = predictor.predict(["good", "bad"])
    for texts in (("good", "bad"), np.array(["good", "bad"]), iter(["good", "bad"]),
                  {"good": 1, "bad": 2}.keys()):  # fmt: skip
        assert predictor.predict(texts) == expected


def test_python_s_kinds_of_values(tmp_path, tiny_backbone):
    rows = [{"a": "x", "text": f"{'good' if n % 2 else 'bad'} {n}", "label": n % 2}
            for n in range(40)]  # fmt: skip
    result = lora_bert.train(
        rows, backbone=tiny_backbone, output=tmp_path / "out", epochs=np.int64(1),
        learning_rate=np.float32(0.01), clean=np.bool_(False), rank=np.int8(2),
        label_names={0: "neg, or so", 1: "pos"}, columns=["id", "body", "class"],
        text_column="body", label_column="class", target_modules=("query", "value"),
        watch="good", dropout=0, save_every=0,
    )  # fmt: skip
    assert result.labels == ("neg, or so", "pos")
    assert [one.text for one in result.watched] == ["good"]
    assert lora_bert.evaluate(result.path, rows, label_names={"0": "neg, or so"}).scores.rows == 40


@pytest.mark.parametrize("names", [
    {0: "a", 1: "b"}, {"a,b": "c=d"}, {'q"x': " y "}, {"back\\slash,": "n"}, {"b\\u0041": "z"},
    {True: 1}, {"new\nline": "y"}, {'"': "="}, {0.0: "a", 1.5: "b"}, {np.float64(1): "a"},
], ids=repr)  # fmt: skip
def test_a_dict_says_every_renaming(names):
    made = build(config.TrainConfig, {"label_names": names})
    plain = {str(old).lower() if old is True else str(old): str(new) for old, new in names.items()}
    assert parse_label_names(made.label_names) == plain


def test_a_dict_of_anything_else_is_refused():
    with pytest.raises(ConfigError, match="does not give a new name to every label") as caught:
        lora_bert.train([("a", "b")], label_names={"yes": None})
    assert str(caught.value).startswith("label_names: {'yes': None} does not")


def test_a_list_says_every_name():
    names = ["a", "b,c", 'd"e', "f g"]
    made = build(config.TrainConfig, {"columns": names})
    assert parse_names(made.columns) == tuple(names)


# ------------------------------------------------------------------------------------------ notes


def as_in_a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has set up logging; pytest has, for the time of a test."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    log = logging.getLogger("lora_bert")
    monkeypatch.setattr(log, "handlers", [])
    monkeypatch.setattr(log, "propagate", True)
    monkeypatch.setattr(log, "level", logging.NOTSET)
    log.setLevel(logging.NOTSET)  # what loggers remember of levels goes with it


def test_a_script_is_shown_warnings_alone(adapter, reviews, capsys, monkeypatch):
    as_in_a_new_process(monkeypatch)
    lora_bert.evaluate(adapter, reviews)
    said = capsys.readouterr().err
    assert "text column" not in said
    assert "warning: The adapter was trained on rows of" in said
    assert "leave data out or use part." in said
    logging.getLogger("lora_bert").setLevel(logging.ERROR)
    lora_bert.evaluate(adapter, reviews)
    assert not capsys.readouterr().err
    assert logging.getLogger("lora_bert").handlers == []


def test_at_a_prompt_notes_are_shown(adapter, reviews, capsys, monkeypatch):
    as_in_a_new_process(monkeypatch)
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    lora_bert.evaluate(adapter, reviews)
    said = capsys.readouterr().err
    assert "text column 'review', label column 'label'" in said
    assert "leave data out or use part." in said
    log = logging.getLogger("lora_bert")
    assert (log.handlers, log.level) == ([], logging.NOTSET)


def test_whoever_sets_up_logging_is_not_told_twice(adapter, reviews, capsys, monkeypatch):
    as_in_a_new_process(monkeypatch)
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    logging.getLogger().handlers = [logging.NullHandler()]
    lora_bert.evaluate(adapter, reviews)
    assert "text column" not in capsys.readouterr().err


def test_in_a_notebook_epochs_and_bars_are_shown(
    tiny_backbone, reviews, tmp_path, capsys, monkeypatch
):
    from lora_bert.runtime.progress_bar import track

    as_in_a_new_process(monkeypatch)
    assert track(1, "x").disable
    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    assert not track(1, "x").disable
    lora_bert.train(reviews, backbone=tiny_backbone, output=tmp_path / "out", epochs=2)
    said = capsys.readouterr().err
    assert "epoch 1/2" in said
    assert "epoch 2/2" in said


# ------------------------------------------------------------------------------------------- repr


@pytest.fixture(scope="module")
def result(tmp_path_factory, tiny_backbone):
    evil = "<script>alert('x')</script>"
    rows = [(f"{'good' if n % 2 else 'bad'} {n}", evil if n % 2 else "\x1b[31mred") for n in
            range(60)]  # fmt: skip
    out = tmp_path_factory.mktemp("shown") / "out"
    return lora_bert.train(rows, backbone=tiny_backbone, output=out, epochs=2)


def test_everything_shows_itself_in_a_line(result, tmp_path):
    predictor = lora_bert.load(result.path)
    rows = [("good", result.labels[0]), ("bad", result.labels[1])]
    found = lora_bert.evaluate(result.path, rows, train=rows, baseline=True, against=result.path)
    merged = lora_bert.merge(result.path, tmp_path / "m")
    shown = {
        "Predictor": predictor,
        "Prediction": predictor.predict(["good"])[0],
        "TrainResult": result,
        "Evaluation": found,
        "MergeResult": merged,
        "Verification": lora_bert.verify(result.path),
        "Scores": found.scores,
        "Comparison": found.against,
        "Baseline": found.baseline,
        "Calibration": found.calibration,
        "Manifest": predictor.manifest,
        "TextTokenizer": predictor.tokenizer,
        "TorchEngine": predictor.engine,
    }
    for name, one in shown.items():
        text = repr(one)
        assert name in text
        assert len(text) < 400, text
        assert "\x1b" not in text
        assert "\n" not in text
    assert f"'{result.path}': 2 labels on tiny-bert, torch " in repr(predictor)
    assert repr(predictor).endswith(", cpu)")


def test_what_torch_has_loaded_shows_itself_in_a_line(adapter):
    from lora_bert.adapters.loading import load_any

    assert len(repr(load_any(adapter))) < 1000


def test_a_prediction_shows_its_best_labels():
    scores = {f"label {n}": n / 100 for n in range(14)}
    text = repr(lora_bert.Prediction("label 13", 0.13, scores))
    assert text.startswith("Prediction('label 13', 0.1300, {'label 13': 0.1300, 'label 12'")
    assert text.endswith("… 11 more})")


def test_notebooks_show_tables_and_run_nothing(result):
    found = lora_bert.evaluate(result.path, [("good", result.labels[0])])
    for one in (result, found):
        page = one._repr_html_()
        assert "<table>" in page
        assert "<script" not in page
        assert "http" not in page
        assert "\x1b" not in page
    assert "&lt;script&gt;" in found._repr_html_()
    assert "train loss" in result._repr_html_()


def test_a_notebook_shows_the_worst_of_many_classes():
    from lora_bert.evaluation.result import judge
    from lora_bert.tasks.single_label import SingleLabel

    labels = [f"class {number}" for number in range(30)]
    answers = np.eye(30)[[*range(29), 0]]
    page = judge(SingleLabel(tuple(labels)), answers, np.arange(30))._repr_html_()
    assert "classes: the 15 with the lowest F1 of 30; scores.per_class has all" in page
    assert page.count("<tr>") == 16
    assert page.index("class 29") < page.index("class 0<")


def test_converted_and_exported_show_themselves(tmp_path, tiny_backbone, adapter):
    import torch
    from safetensors.torch import load_file

    pickled = write_backbone(tmp_path / "pickled")
    weights = load_file(pickled / "model.safetensors")
    (pickled / "model.safetensors").unlink()
    torch.save(weights, pickled / "pytorch_model.bin")
    made = lora_bert.convert_backbone(pickled, tmp_path / "converted")
    assert repr(made).startswith("Conversion('")
    pytest.importorskip("onnxruntime")
    exported = lora_bert.export(adapter, tmp_path / "onnx", format="onnx")
    assert "onnx float32" in repr(exported)
    assert ", onnx, cpu)" in repr(lora_bert.load(exported.path, engine="onnx"))
