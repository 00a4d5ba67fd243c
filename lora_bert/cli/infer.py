"""``lora-bert infer``."""

from __future__ import annotations

import io
import json
import logging
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lora_bert.cli.console import visible
from lora_bert.cli.declare import declare
from lora_bert.cli.infer_answers import Answers, Asked, ManyAnswers, OneAnswer
from lora_bert.config import InferConfig
from lora_bert.errors import ConfigError, DataError
from lora_bert.json_files import json_text
from lora_bert.wording import counted

if TYPE_CHECKING:
    from lora_bert.data.rows import ReadOptions
    from lora_bert.data.tables import Table
    from lora_bert.data.texts import Text
    from lora_bert.inference.predictor import Predictor
    from lora_bert.inference.sinks import Sink

log = logging.getLogger(__name__)

LINES_AT_ONCE = 256
_BLANKS = str.maketrans("\t\r\n", "   ")


@declare("infer", InferConfig)
def command(config: InferConfig, as_json: bool) -> None:
    """Classify texts given as arguments, as lines of standard input, or as rows of a file.

    Texts and lines are answered with label, probability and text, separated by tabs. A file's rows
    keep their columns and get prediction, score and prob_LABEL. An adapter of pairs is asked TEXT
    with --pair TEXT, lines with a tab between the two, or files with two columns of texts. One that
    finds answers is asked --question with --context, and answers with where the answer stands.
    Several adapters answer each text, their names first; in files, before the columns' names. So do
    those that were exported together, where --model is the directory of all.

    Examples:
      lora-bert infer --adapter adapters/waimai "很快，好吃" "等了两个小时"
      lora-bert infer --model out/ < lines.txt
      lora-bert infer --adapter runs/reviews --input new.csv --output scored.csv
      lora-bert infer --adapter runs/reviews --json "好吃"
      lora-bert infer --adapter runs/bq "怎么提前还款" --pair "可以提前还钱吗"
      lora-bert infer --adapter runs/squad --question "Who came?" --context "Ann came at noon."
      lora-bert infer --adapter runs/intents --min-score 0.6 --otherwise human "…"
      lora-bert infer --adapter runs/reviews --adapter runs/intents "好吃"
      lora-bert infer --adapter adapters/ --adapter-column which --input new.csv
      lora-bert infer --adapter runs/reviews          (asks for texts on a terminal)
    """
    path, config = _path(config), _with_questions(_with_branches(config))
    if config.input and config.texts:
        raise ConfigError("Give either texts or --input, not both.")
    if config.pair and not config.texts:
        raise ConfigError("--pair is the second text of a pair, and no first TEXT is given.")
    if config.output and not config.input:
        raise ConfigError("--output needs --input.", hint="Without it, redirect: … > FILE")
    _check_place(config)
    if config.input:
        _file(config, path, as_json)
        return
    if config.adapter_column:
        raise ConfigError("--adapter-column names a column of the rows of --input: it needs that.")
    # Started with its standard input closed, a program has none at all.
    no_input = not config.texts and sys.stdin is None
    asking = not config.texts and not no_input and sys.stdin.isatty()
    if no_input or (asking and as_json):
        raise ConfigError(
            "There is nothing to classify: neither texts nor --input.",
            hint='lora-bert infer --adapter DIR "a text"',
        )
    _warn_of_files(config.texts)
    # What is wrong with the options is said before anybody is asked for a text.
    answers = ManyAnswers.of(config) if _several(config) else OneAnswer.of(path, config)
    asked = answers.asked
    pairs = asked.inputs == 2 or bool(config.pair)
    if config.texts:
        source: Iterable[Text] = _given(config, asked)
    elif asking:
        source = _typed([f"{name.removeprefix('text_')}> " for name in asked.names[: 1 + pairs]])
    else:
        source = _pairs(_lines()) if pairs else _lines()
    from lora_bert.inference.read_texts import told_of_texts

    with told_of_texts(answers.predictors):
        _say(answers, source, asking=asking, as_json=as_json)


def _say(answers: Answers, source: Iterable[Text], *, asking: bool, as_json: bool) -> None:
    """Answer texts: in one JSON document, or line by line, at once where somebody is ``asking``."""
    from lora_bert.data.texts import parts_of

    if as_json:
        texts = list(source)
        named = [
            {**dict(zip(answers.asked.names, parts_of(text), strict=False)), **document}
            for text, document in zip(texts, answers.documents(texts), strict=True)
        ]
        click.echo(json_text(named))
        return
    walking = iter(source)
    while texts := list(islice(walking, 1 if asking else LINES_AT_ONCE)):
        for text, lines in zip(texts, answers.lines(texts), strict=True):
            for cells in lines:
                # One line an answer, whatever stands in it.
                line = (*cells, *parts_of(text))
                click.echo("\t".join(visible(part.translate(_BLANKS)) for part in line))


def _with_branches(config: InferConfig) -> InferConfig:
    """The options with a model that holds branches on a trunk as adapters, which all answer."""
    from lora_bert.adapters.trunk import is_trunk

    if config.model and is_trunk(config.model):
        return replace(config, adapter=(config.model,), model=None)
    return config


def _with_questions(config: InferConfig) -> InferConfig:
    """The options with questions as texts and contexts as what they are paired with.

    Raises:
        ConfigError: Questions and contexts do not fit together, or texts are given too.
    """
    if not config.question and not config.context:
        return config
    if not config.question or not config.context:
        raise ConfigError("--question and --context go together.")
    if config.texts or config.pair or config.input:
        raise ConfigError("--question and --context stand alone: leave out TEXT, --pair, --input.")
    contexts = config.context
    if len(contexts) == 1:
        contexts *= len(config.question)
    if len(contexts) != len(config.question):
        raise ConfigError(
            f"{counted(len(config.question), '--question')} and "
            f"{counted(len(contexts), '--context')} do not fit.",
            hint="Give one --context for all questions, or one for each.",
        )
    return replace(config, texts=config.question, pair=contexts)


def _given(config: InferConfig, asked: Asked) -> Sequence[Text]:
    """The texts of the arguments, or the pairs that they make with those of ``--pair``.

    Raises:
        ConfigError: They are not what the model is asked.
    """
    first, second, inputs = config.texts, config.pair, asked.inputs
    if config.question and not asked.contexts:
        raise ConfigError(
            f"--question and --context are for models that find answers; this is a '{asked.task}'."
        )
    if asked.contexts and not second:
        raise ConfigError(
            "The model finds answers in a text, and none is given.",
            hint='lora-bert infer … --question "TEXT" --context "TEXT"',
        )
    if inputs == 1 and second:
        raise ConfigError(
            "--pair: the adapter was trained on single texts.", hint="Leave --pair out."
        )
    if inputs == 2 and not second:
        raise ConfigError(
            "The adapter was trained on pairs of texts, and only the first ones are given.",
            hint='Give the second text with --pair: lora-bert infer … "TEXT" --pair "TEXT"',
        )
    if second and len(first) != len(second):
        raise ConfigError(
            f"{counted(len(first), 'TEXT')} and {counted(len(second), '--pair')} make no pairs.",
            hint="Give --pair once for each TEXT.",
        )
    return list(zip(first, second, strict=True)) if second else first


def _pairs(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Lines with a tab in each as pairs; DataError for another one."""
    for number, line in enumerate(lines, start=1):
        first, tab, second = line.partition("\t")
        if not tab or "\t" in second:
            tabs = counted(line.count("\t"), "tab")
            raise DataError(
                f"standard input, line {number}: {tabs}; the two texts of a pair stand on one line "
                "with one tab between them.",
                hint="Files with more columns: --input FILE.",
            )
        yield first, second


def _warn_of_files(texts: Sequence[str]) -> None:
    if "-" in texts:
        log.warning("'-' is taken as a text; standard input is read where no text is given.")
    texts = [text for text in texts if Path(text).suffix]
    if not texts:
        return
    from lora_bert.data.opening import PACKINGS, SUFFIXES

    for text in texts:
        if Path(text).suffix.lower() in (*SUFFIXES, *PACKINGS) and _is_file(text):
            log.warning("'%s' is taken as a text; to classify its rows, use --input.", text)


def _is_file(text: str) -> bool:
    with suppress(OSError, ValueError):  # too long for the name of a file, or with a NUL in it
        return Path(text).is_file()
    return False


def _path(config: InferConfig) -> str:
    if config.adapter and config.model:
        raise ConfigError("Give either --adapter or --model, not both.")
    path = config.adapter[0] if config.adapter else config.model
    if not path:
        first = config.texts[0] if config.texts else ""
        here = first and any(
            _is_file(f"{first}/{name}") for name in ("adapter_config.json", "config.json")
        )
        hint = f"--adapter {shlex.quote(first)}" if here else "--adapter DIR or --model DIR"
        raise ConfigError("infer needs an adapter or a merged model.", hint=hint)
    return path


def _several(config: InferConfig) -> bool:
    """Whether several adapters are asked, or whichever a row names."""
    from lora_bert.adapters.trunk import is_trunk

    several = len(config.adapter) > 1 or any(map(is_trunk, config.adapter))
    return several or config.adapter_column is not None


def _check_place(config: InferConfig) -> None:
    """Raise ConfigError for what only a cluster can do, for what it cannot, and for no file."""
    from lora_bert.remote import is_url

    if config.on and not (config.input and config.output):
        raise ConfigError(
            "--on ray answers the rows of --input and writes them to --output: it needs both."
        )
    if config.on and _several(config):
        raise ConfigError(
            "--on ray answers with one adapter.", hint="Run it for one after the other."
        )
    if config.input == "-":
        raise ConfigError(
            "--input names a file; lines of standard input are read where no --input is given.",
            hint="lora-bert infer --adapter DIR < LINES; rows with columns need a file.",
        )
    if config.output == "-":
        raise ConfigError(
            "--output names a file; rows go to standard output where no --output is given."
        )
    if config.ray_address and not config.on:
        raise ConfigError("--ray-address needs --on ray.")
    for name, value in (("input", config.input), ("output", config.output)):
        if value and is_url(value) and not config.on:
            raise ConfigError(
                f"--{name} '{value}' is a URL: only --on ray reads and writes these.",
                hint="On one machine too: it needs no cluster.",
            )


def _file(config: InferConfig, path: str, as_json: bool) -> None:
    from lora_bert.data.locations import to_predict
    from lora_bert.data.tables import iter_tables
    from lora_bert.inference.engines.engine import TEXTS_AT_ONCE
    from lora_bert.inference.sinks import Delimited
    from lora_bert.inference.stream import check_target, into_file

    if config.on:
        from lora_bert.inference.on_ray import predict_on_ray

        _say_rows(predict_on_ray(path, config), str(config.output), as_json)
        return
    files = to_predict(Path(str(config.input)))
    if config.output is None and as_json:
        raise ConfigError("--json with --input needs --output.")
    target = Path(config.output) if config.output else None
    if target:
        check_target(files, target, overwrite=config.overwrite)
    options, write = _writer(config, path)
    if target is None:
        write(iter_tables(files, options, rows=TEXTS_AT_ONCE), Delimited(sys.stdout))
        return
    rows = into_file(files, target, write, options=options, overwrite=config.overwrite)
    _say_rows(rows, str(target), as_json)


def _writer(
    config: InferConfig, path: str
) -> tuple[ReadOptions, Callable[[Iterable[Table], Sink], int]]:
    """How the files are read, and what answers rows into a sink."""
    from lora_bert.adapters.trained_on import training_format
    from lora_bert.data.data_options import read_options
    from lora_bert.inference.predictor import open_predictor
    from lora_bert.inference.stream import predict_into

    how: dict[str, Any] = {
        "text_column": config.text_column,
        "text_pair_column": config.text_pair_column,
        "decoding": config,
    }
    if not _several(config):
        predictor = open_predictor(path, config)
        options = read_options(config, training_format(predictor.manifest))
        return options, _telling({path: predictor}, partial(predict_into, predictor, **how))
    from lora_bert.inference.stream_many import common_format, open_adapters, predict_many_into

    if config.model:
        raise ConfigError("--adapter-column names adapters, and --model is none.")
    predictors = open_adapters(config.adapter, config)
    how |= {"adapter_column": config.adapter_column, "batch_size": config.batch_size}
    options = read_options(config, common_format(predictors))
    return options, _telling(predictors, partial(predict_many_into, predictors, **how))


def _telling(
    predictors: Mapping[str, Predictor], write: Callable[[Iterable[Table], Sink], int]
) -> Callable[[Iterable[Table], Sink], int]:
    """The same, which says at the end how many texts were too long or empty."""
    from lora_bert.inference.read_texts import told_of_texts

    def told(pieces: Iterable[Table], sink: Sink) -> int:
        with told_of_texts(predictors):
            return write(pieces, sink)

    return told


def _say_rows(rows: int, output: str, as_json: bool) -> None:
    document = {"output": output, "rows": rows}
    click.echo(
        json.dumps(document, ensure_ascii=False) if as_json else f"{rows:,} rows in {output}"
    )


def _lines() -> Iterator[str]:
    """The lines of standard input, empty ones too: answers and lines stay side by side."""
    # UTF-8 whatever the locale says; a stray byte must not end the run.
    stream = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", errors="replace")
    return (line.rstrip("\r\n") for line in stream)


def _typed(prompts: Sequence[str]) -> Iterator[Text]:
    """Texts, or pairs, typed at one prompt or two, until an empty line or the end of input."""
    while True:
        typed: list[str] = []
        for prompt in prompts:
            click.echo(prompt, nl=False, err=True)
            typed.append(sys.stdin.readline().rstrip("\r\n"))
            if not typed[-1].strip():
                return
        yield typed[0] if len(typed) == 1 else (typed[0], typed[1])
