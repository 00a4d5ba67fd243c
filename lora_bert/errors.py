"""Everything that can go wrong, as one tree of typed errors.

Library functions raise these and nothing else for bad input; only the command line turns them into
a sentence and an exit code. The codes follow BSD's ``sysexits.h``, except 2 (bad usage, as every
command-line tool has it), 130 (stopped with Ctrl-C) and 143 (stopped with SIGTERM).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar


class LoraBertError(Exception):
    """Base of every error that lora-bert raises on purpose.

    ``str(error)`` is one sentence that says what is wrong and where; ``hint`` says how to mend it
    (empty when the sentence already does).

    Attributes:
        exit_code: Of a command that ends with it.
        said_elsewhere: Whether another process of the training has said it already.
        examples: Mistake -> what is said of it, for docs/errors.md; "…" stands for what varies.
    """

    exit_code = 1
    said_elsewhere = False
    examples: ClassVar[Mapping[str, str]] = {}

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        if hint:
            self.add_note(hint)  # so that a traceback shows it too


class ConfigError(LoraBertError):
    """An option, a key of ``run.yaml`` or a combination of them makes no sense."""

    exit_code = 2
    examples: ClassVar[Mapping[str, str]] = {
        "a misspelt option in a file": "'…': unknown key '…'.",
        "two --config files that contradict each other": "'…' says …: …, '…' says …: ….",
        "YAML with tags, aliases of itself, or no YAML": "'…'…: not valid YAML: ….",
        "a misspelt keyword in Python": "Unknown option '…'.",
        "predict with one text in place of a list": (
            "A list of texts is needed, and this is one text."
        ),
        "evaluate without rows where those were given from Python": (
            "The rows that '…' was trained on were given from Python, as '…': no file holds them."
        ),
        "--rank 0": "--rank …: LoRA matrices need a rank of at least 1.",
        "a rank larger than the layers": (
            "--rank …: the backbone's layers are … wide, so a change of them has no rank above …."
        ),
        "--max-length beyond the backbone's positions": (
            "--max-length …: the backbone has positions for … tokens."
        ),
        "a target module that is nowhere": (
            "--target-modules: '…' matches no linear layer of a … backbone."
        ),
        "--resume with another option than before": ("--resume: '…' was begun with … …, not …."),
        "--layers top:N where layers share their weights": (
            "--layers …: the layers of this … backbone share their weights, so none can "
            "be adapted alone."
        ),
        "--otherwise alone": (
            "--otherwise needs --min-score: the probability below which it is the answer."
        ),
        "an answer for unsure texts that is a label of the model": (
            "--otherwise '…': the model has a label of this name, so its answers could not be told "
            "from refusals."
        ),
        "--out-of-scope with a label of the adapter": (
            "--out-of-scope '…': the adapter knows this label."
        ),
        "--out-of-scope with a label that no row has": "--out-of-scope '…': no row has this label.",
    }


class InputTypeError(ConfigError, TypeError):
    """A Python function was given a value of a type that it does not take."""


class DataError(LoraBertError):
    """A data file can be opened but not understood, or holds nothing to work with."""

    exit_code = 65
    examples: ClassVar[Mapping[str, str]] = {
        "an empty file": "'…' is empty.",
        "two encodings in one file": "'…' mixes encodings: line … is UTF-8, line … is not.",
        "an encoding that could be several": (
            "'…' is UTF-8 only up to byte … on line …, and no other encoding is certain: "
            "a word of it is …."
        ),
        "NUL bytes throughout": "'…' is not text: it is full of control characters.",
        "a quote that is never closed": (
            "'…', line …: a quote opened in the row that starts here is never closed."
        ),
        "a text with commas that is not quoted": "'…', line …: … where there are …, ….",
        "no header": "'…' seems to have no header: its first line is '…'.",
        "a column that is not there": "'…' has no column '…'; its columns are ….",
        "several labels in one row": (
            "…: several labels in one row, …; … of … … several, and every text is trained with "
            "one label so far."
        ),
        "spans or word tags as labels": (
            "…: the label '…' marks parts of the text, as sequence labelling (named entities) does."
        ),
        "probabilities or an embedding as labels": (
            "…: the label '…' is made of numbers such as probabilities, and names no class."
        ),
        "an object of another shape as a label": (
            "…: the label '…' is a list or an object that no label can be taken from."
        ),
        "several label columns, not of 0 and 1": (
            "…: column '…' holds '…' where 0 or 1 is needed."
        ),
        "a JSON object with several tables": "'…' is an object with several lists of rows, ….",
        "an archive of several files": "'…' holds several files: ….",
        "a packed file that unpacks to a bomb": "'…' holds more than … when it is unpacked.",
        "a packed file that is cut short": "'…' cannot be unpacked (…: …).",
        "a workbook that is damaged or no workbook": "'…' is not a readable workbook (…).",
        "a web page by the name of a workbook": "'…' is called a workbook and holds a web page.",
        "a pattern that fits test files too": "'…' fits training files and also ….",
        "shards that are not here": "'…' lacks … of …: it has ….",
        "files read as one whose columns differ": (
            "'…' has other columns than '…': … … in only one of the two."
        ),
        "a directory without training rows": "'…' has no training rows; it has ….",
        "--part test of rows without labels": "The … rows cannot be judged: ….",
        "from Python, something else than rows": "…: … is neither the name of a file nor rows.",
        "from Python, rows that are neither dicts nor pairs": (
            "…: row … is neither a dict nor a (text, label) pair."
        ),
        "one class only": "'…' has one class only, '…': there is nothing to tell apart.",
        "a label that no training row has": "…: the label '…' stands in no training row.",
        "a token that the tokenizer knows and the embeddings have no row for": (
            "…: the text holds ……; the tokenizer knows that, but the backbone's embeddings, of … "
            "rows, have none for it."
        ),
        "the same token, predicting": (
            "The text '…' holds …: the tokenizer knows that, but the model's embeddings, of … "
            "rows, have none for it."
        ),
        "a label that the adapter does not know": "…: the label '…' is not one of the adapter's.",
        "nothing but rows out of scope": (
            "--out-of-scope: every row is out of scope, and there is nothing to compare with."
        ),
        "texts that cleaning leaves empty": (
            "'…' has nothing left after cleaning: no text of it holds more than "
            "punctuation and spaces."
        ),
    }


class AdapterError(LoraBertError):
    """An adapter or merged model is incomplete, damaged or does not fit its backbone."""

    exit_code = 65
    examples: ClassVar[Mapping[str, str]] = {
        "a file of it missing": "'…' is not a whole adapter: it has no ….",
        "a file of it cut short": "'…' is damaged or not a safetensors file: ….",
        "another backbone of the same shape": (
            "'…' was trained on another backbone than '…': it needs '…' with fingerprint "
            "……, this one has ……."
        ),
        "somebody's multi-label classifier, or a regression": (
            "'…' is … (problem_type '…'); lora-bert answers with one label a text."
        ),
        "a model for another task": "'…' is … (…), not a text classifier.",
        "an adapter for another task": (
            "'…' was made for … (task_type '…'), not for classifying texts."
        ),
        "an adapter that is none of LoRA's": (
            "'…' does not describe a LoRA adapter, but one of the kind '…'."
        ),
        "a backbone given to infer or evaluate": (
            "'…' is a backbone, not a classifier: it has no '…'."
        ),
        "a model of sentence-transformers where a classifier is wanted": (
            "'…' is a model of sentence-transformers, which makes embeddings; it is no text "
            "classifier."
        ),
        "PEFT's adapter that changes more than linear layers": (
            "'…' changes '…', a part of the backbone that no adapter here changes."
        ),
        "several graphs, none called as is usual": (
            "'…' holds several graphs, …, and does not say which is meant."
        ),
        "a description of its training that is none": (
            "'…' tells of its training what makes no sense: …"
        ),
        "a head that was not saved with it": (
            "'…' lacks the head's '…', and so does the backbone; filling it at random "
            "would make the predictions random."
        ),
    }


class BackboneError(LoraBertError):
    """A backbone is incomplete, damaged or of a kind that lora-bert cannot run."""

    exit_code = 65
    examples: ClassVar[Mapping[str, str]] = {
        "weights that are a pickle": (
            "'…' holds its weights only as a pickle (.bin), which could run code."
        ),
        "a clone in which Git LFS has not fetched the large files": (
            "'…' is a pointer of Git LFS, not the file itself."
        ),
        "a vocabulary without its merges": (
            "The tokenizer in '…' lacks merges.txt, which belongs to its vocab.json."
        ),
        "code of its own": (
            "The backbone asks to run code of its own (auto_map), which lora-bert never does."
        ),
        "a family that is not known": "Backbones of type '…' are not supported.",
        "no model_type": (
            "The backbone's config.json has no 'model_type', which says what family it is of."
        ),
        "an adapter given as a backbone": "'…' is an adapter…; it is no backbone.",
        "a folder too high": "'…' is not a backbone: it has no config.json.",
        "a graph for an engine": ("'…' is exported for an engine ('…'); a graph is no backbone."),
        "a padding token without a row in the embeddings": (
            "The tokenizer in '…' uses … in every text, and the model's embeddings, of … rows, "
            "have none for it."
        ),
        "a SentencePiece model of an unknown layout": (
            "'…' has a SentencePiece model and no tokenizer.json, and how … numbers its pieces "
            "is not known here."
        ),
    }


class NotFoundError(LoraBertError):
    """A file, directory or name does not exist."""

    exit_code = 66
    examples: ClassVar[Mapping[str, str]] = {
        "a misspelt path": "No such …: '…'.",
        "evaluate without --data where the training's files are gone": (
            "The rows the adapter was trained on are not here: …"
        ),
    }


class UnavailableError(LoraBertError):
    """The network, a device or an optional package is needed and not there."""

    exit_code = 69
    examples: ClassVar[Mapping[str, str]] = {
        "a hub id without network": (
            "Backbone '…' is neither a directory nor in the hub's cache, and the hub "
            "cannot be reached."
        ),
        "a workbook without python-calamine": (
            "'…' is an Excel workbook: reading it needs python-calamine, which is not installed."
        ),
        "not enough memory": "There is not enough memory.",
        "--device cuda without a GPU": (
            "--device cuda: no NVIDIA GPU that this build of torch can use."
        ),
    }


class PeerError(UnavailableError):
    """Another process of the same training has ended or does not answer.

    ``exit_code`` is that of the other's error, if it had one.
    """

    examples: ClassVar[Mapping[str, str]] = {
        "a process of several that is killed": (
            "One of the … processes of this training has ended; the others cannot go on."
        ),
    }

    def __init__(self, message: str, *, hint: str = "", exit_code: int = 69) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


class OutputError(LoraBertError):
    """The place to write to is taken, not writable, or would overwrite an input."""

    exit_code = 73
    examples: ClassVar[Mapping[str, str]] = {
        "a full disk, a read-only one, a name longer than 255 bytes": "Cannot write '…': ….",
        "an output that exists": "Output directory '…' is not empty.",
        "an output whose training was stopped": ("A training into '…' was stopped after step …."),
        "an output that another training writes to": "Another training is writing to '…'.",
        "input and output the same file": "Output '…' is the input.",
        "an output that holds an input": "Output '…' is or holds '…', which is read here.",
    }


class DivergedError(LoraBertError):
    """The loss, its gradient or a figure of the validation became infinite or NaN."""

    exit_code = 1
    examples: ClassVar[Mapping[str, str]] = {
        "a learning rate that diverges in the first epoch": (
            "Training diverged: the loss is … at step … of …."
        ),
        "a backbone whose weights are so badly scaled that gradients overflow": (
            "Training diverged: the gradient of '…' is … at step … of …."
        ),
    }


ANSWERED: Mapping[str, str] = {
    "a text of a megabyte": "It is cut at `--max-length` like any other, with a warning.",
    "two million rows": "`infer` reads them as they come; `train --limit` draws from all of them.",
    "test rows without labels": (
        "`train` leaves them out with a warning, `evaluate` goes on to the next part, `infer` "
        "predicts them."
    ),
    "a column that is half numbers": "Cells are texts; nothing is a number or missing by its look.",
    "5,000 classes, a class with one row": (
        "Trained; long tables are cut short, rare classes warned of."
    ),
    "lists, objects or vectors of one label": "Taken out, with a note; empty ones are dropped.",
    "labels that differ in case, width or invisible characters": (
        "Trained as they are; a warning names the `--label-names` that joins them."
    ),
    "a JSON array called .txt, csv called .json, fastText": "Read as what it holds, with a note.",
    "labels with commas, line breaks, terminal escapes, 10 kB": (
        "Kept to the letter in every file; the screen shows escapes as characters."
    ),
    "csv cells that a spreadsheet would run": "Written as they are, with a warning.",
    "names in Chinese, with spaces, emoji, of 255 bytes": "Read and written.",
    "a learning rate that diverges later": "The best epoch is kept, with a warning; exit code 0.",
    "a directory removed while training": "It is made again for the adapter.",
    "a reader that goes away (`| head`)": "The command ends quietly with exit code 0.",
    "locale C, no terminal, one of 40 columns": "The same answers.",
}
"""What might be taken for a mistake -> what happens, for docs/errors.md."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The entry of ``known`` that looks most like ``word``, or "" when none is close."""
    by_lower = {name.lower(): name for name in known}
    match = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[match[0]] if match else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``"Did you mean 'x'?"`` for the nearest known word, or ""."""
    match = nearest(word, known)
    return f"Did you mean '{match}'?" if match else ""


def _another_kind(path: Path) -> NotFoundError:
    """The error for a file where a directory is wanted, or the other way round."""
    if not path.is_file():
        return NotFoundError(f"'{path}' is not a file.")
    # Of a file of a model the model is meant: it lies beside config.json, or a folder below it.
    holders = [
        place
        for place in (path.parent, path.resolve().parent.parent)
        if any((place / name).is_file() for name in ("config.json", "adapter_config.json"))
    ]
    hint = f"Did you mean '{holders[0]}'?" if holders else ""
    return NotFoundError(f"'{path}' is not a directory.", hint=hint)


def missing(path: str | Path, what: str = "file") -> NotFoundError:
    """The error for a path that is not there, suggesting a neighbour with a similar name."""
    path = Path(path)
    hint = ""
    if path.parent.is_dir():
        names = sorted(entry.name for entry in path.parent.iterdir())
        if path.name in names:
            return _another_kind(path)
        match = nearest(path.name, names)
        hint = f"Did you mean '{path.parent / match}'?" if match else ""
    return NotFoundError(f"No such {what}: '{path}'.", hint=hint)
