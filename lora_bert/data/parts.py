"""The parts of a data set as they are read: their columns, and whether they have labels.

Competitions and benchmarks give their test rows away without labels: no such column, empty cells,
or -1 for every row. Such a part can be predicted and not judged.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Collection
from dataclasses import replace

from lora_bert.data.answer_columns import answer_columns, may_be_questions
from lora_bert.data.answer_ranges import with_answers
from lora_bert.data.answers import answer_examples
from lora_bert.data.columns import LABEL_NAMES, find_columns, label_columns, without
from lora_bert.data.data_options import DataOptions
from lora_bert.data.examples import Examples, examples_from
from lora_bert.data.given import Given
from lora_bert.data.labels import HIDDEN
from lora_bert.data.locations import Location
from lora_bert.data.pair_columns import find_pair
from lora_bert.data.prodigy import accepted
from lora_bert.data.rows import NO_TRAINING
from lora_bert.data.tables import Table, iter_tables, read_table
from lora_bert.data.tagged import tag_columns, tagged_examples
from lora_bert.data.word_rows import as_sentences
from lora_bert.errors import ConfigError, DataError
from lora_bert.names import parse_names
from lora_bert.wording import listed

logger = logging.getLogger(__name__)


Reading = Callable[[Table, DataOptions], DataOptions]
"""How rows are to be read that were to be read otherwise, after a look at the training rows."""


class Parts:
    """The examples of each part of a data set; a part is read when it is asked for, and once.

    Attributes:
        options: How they are read; when the training rows are, ``reading`` may change them.
    """

    def __init__(
        self, location: Location, options: DataOptions, reading: Reading | None = None
    ) -> None:
        self._location, self.options, self._reading = location, options, reading
        self._read: dict[str, Examples | str] = {}
        self._names: dict[str, tuple[str, str | None, str]] = {}
        self._train_columns: tuple[str, ...] = ()

    @property
    def columns(self) -> dict[str, str]:
        """What the columns of the first part that was read are called, by their role.

        The roles are ``text``, ``label`` and, where rows are pairs, ``text_pair``.
        """
        text, pair, label = next(iter(self._names.values()))
        return {"text": text, "label": label} | ({"text_pair": pair} if pair else {})

    def rows(self, part: str) -> Examples:
        """The examples of a part.

        Raises:
            DataError: It cannot be understood, or has no labels.
        """
        examples = self._examples_or_reason(part)
        if isinstance(examples, Examples):
            return examples
        raise DataError(
            f"The {part} rows cannot be judged: {examples}.", hint=self._how_to_predict(part)
        )

    def without_labels(self, part: str) -> str:
        """Why a part has no labels, in words; "" where it has some."""
        reason = self._examples_or_reason(part)
        return reason if isinstance(reason, str) else ""

    def labelled(self) -> dict[str, Examples]:
        """The examples of all parts with labels; the others are left out, with a warning."""
        examples = {}
        for part in self._location.parts:
            rows = self._examples_or_reason(part)
            if isinstance(rows, Examples):
                examples[part] = rows
            elif part == "train":
                raise DataError(f"There is nothing to learn: {rows}.")
            else:
                how = self._how_to_predict(part)
                logger.warning("The %s part is left out: %s. %s", part, rows, how)
        return examples

    def _examples_or_reason(self, part: str) -> Examples | str:
        """The examples of a part, or why they have no labels."""
        if part not in self._read:
            self._read[part] = self._read_part(part)
        return self._read[part]

    def _read_part(self, part: str) -> Examples | str:
        table = read_table(self._location.parts[part], self.options.read)
        table = with_answers(as_sentences(accepted(table, self.options.label_column)))
        if part == "train":
            self._train_columns = table.columns
            if self._reading:
                self.options = self._reading(table, self.options)
        form = self.options.label_form
        find = {"tags": self._tag_columns, "answers": self._answer_columns}.get(form)
        text, pair, label = find(table) if find else self._columns(part, table)
        if label is None:
            lacking = {"tags": "tags", "answers": "answers"}.get(form, "label column")
            return f"'{table.source}' has no {lacking}"
        if form == "tags":
            return self._tagged(part, table, text, label)
        if form == "answers":
            return self._answered(part, table, text, str(pair), label)
        if hidden := self._hidden(part, table, text, label):
            return f"'{table.source}' has no labels, only {hidden}"
        self._names[part] = (text, pair, label)
        options, train = self.options, self._read.get("train")
        known = train.label_counts if isinstance(train, Examples) else ()
        return examples_from(
            table, text_column=text, pair_column=pair, label_column=label,
            label_names=options.label_names,
            known_labels={*options.read.training.labels, *known},
            label_form=options.label_form, label_separator=options.label_separator,
            beside=options.beside,
        )  # fmt: skip

    def _tag_columns(self, table: Table) -> tuple[str, str | None, str | None]:
        """A table's column of words or texts, and that of their tags."""
        options, training = self.options, self.options.read.training
        before = next(iter(self._names.values()), (training.text_column, training.label_column))
        known = [name if name in table.columns else None for name in before]
        text, label = tag_columns(
            table, text=options.text_column or known[0], tags=options.label_column or known[-1]
        )
        return text, None, label

    def _tagged(self, part: str, table: Table, text: str, label: str) -> Examples | str:
        """The examples of a part whose words are tagged, as those of the training are."""
        if self._may_lack_labels(part) and not any(cell.strip() for cell in table.values[label]):
            return f"'{table.source}' has no tags, only empty cells"
        options, train = self.options, self._read.get("train")
        trained = options.read.training.tagging
        tagging = train.tagging if isinstance(train, Examples) else trained
        self._names[part] = (text, None, label)
        return tagged_examples(
            table, text, label, names=options.label_names, tagging=tagging, beside=options.beside
        )

    def _answer_columns(self, table: Table) -> tuple[str, str | None, str | None]:
        """A table's columns of questions, of contexts and of answers."""
        options, training = self.options, self.options.read.training
        for text, pair, label in list(self._names.values())[:1]:
            training = replace(training, text_column=text, pair_column=pair, label_column=label)
        return answer_columns(
            table.columns, question=options.text_column, context=options.text_pair_column,
            answers=options.label_column, source=table.source, training=training,
        )  # fmt: skip

    def _answered(
        self, part: str, table: Table, text: str, pair: str, label: str
    ) -> Examples | str:
        """The examples of a part whose questions have answers."""
        if self.options.label_names or self.options.label_separator:
            raise ConfigError(
                "--label-names, --label-file and --label-separator are for labels; answers are "
                "none."
            )
        if self._may_lack_labels(part) and not any(cell.strip() for cell in table.values[label]):
            return f"'{table.source}' has no answers, only empty cells"
        self._names[part] = (text, pair, label)
        return answer_examples(table, text, pair, label, beside=self.options.beside)

    def _may_lack_labels(self, part: str) -> bool:
        return part != "train" and "train" in self._location.parts

    def _columns(self, part: str, table: Table) -> tuple[str, str | None, str | None]:
        """The columns of a table's texts, of its second texts where there are pairs, of its labels.

        The last one is None where a part has none.
        """
        options, training = self.options, self.options.read.training
        text, pair, label = options.text_column, options.text_pair_column, None
        for first, second, of_first in list(self._names.values())[:1]:
            label = of_first
            if first in table.columns and (second is None or second in table.columns):
                text, pair = first, second
                if label_columns(label, table.columns):
                    return text, pair, label
            # Whether one part's rows are pairs, so are those of all.
            training = replace(training, inputs=1 if second is None else 2)
        text, pair = find_pair(
            without(options.label_column, table.columns), text=text, pair=pair,
            training=training, cells=table.values, source=table.source,
        )  # fmt: skip
        columns = [name for name in table.columns if name != pair]
        needed = True
        if self._may_lack_labels(part):
            features = self._features(label or options.label_column or training.label_column)
            texts = (text, training.text_column)
            like_labels = [name for name in columns if self._is_usual(name) and name not in texts]
            columns = [name for name in columns if name not in {*like_labels} & {*features}]
            needed = any(name not in features for name in like_labels)
        try:
            text, label = find_columns(
                columns, text=text, label=options.label_column if needed else None,
                need_label=needed, training=training, cells=table.values, source=table.source,
            )  # fmt: skip
        except DataError as error:
            if may_be_questions(table.columns):
                also = "Of questions about contexts: --task question-answering."
                error.hint = f"{error.hint} {also}".strip()
            raise
        return text, pair, label

    def _features(self, label: str | None) -> Collection[str]:
        """The columns of the training rows that are not their label, so no other part's either."""
        if not self._train_columns and label is not None:
            first = next(iter_tables(self._location.parts["train"][0], self.options.read, rows=1))
            self._train_columns = first.columns
        labels = label_columns(label, self._train_columns)
        return set(self._train_columns).difference(labels) if labels else ()

    def _is_usual(self, name: str) -> bool:
        """Whether a column is called as labels are."""
        named, trained = self.options.label_column, self.options.read.training.label_column
        if named is not None:
            return name in (named, *parse_names(named))
        return name.strip().lower() in ((trained or "").lower(), *LABEL_NAMES)

    def _hidden(self, part: str, table: Table, text: str, label: str) -> str:
        """What every row has in place of a label; "" where one has a label, or all are learned."""
        training, beside = self.options.read.training, self._may_lack_labels(part)
        if not beside and training is NO_TRAINING:
            return ""
        values: dict[str, None] = {}
        cells = (table.values[name] for name in label_columns(label, table.columns))
        for words, *bits in zip(table.values[text], *cells, strict=True):
            # Columns of 0 and 1, one a label, are hidden together.
            value = (bits[0] if len(set(bits)) == 1 else "".join(bits)).strip()
            if value and value.lower() not in HIDDEN:
                return ""
            if words.strip():
                values[value] = None
        if not values:
            return ""
        learned = self.rows("train").label_counts if beside and any(values) else training.labels
        if any(values) and not {*learned, *self.options.label_names}.isdisjoint(values):
            return ""
        return listed(values) if any(values) else "empty cells"

    def _how_to_predict(self, part: str) -> str:
        files = self._location.parts[part]
        if isinstance(files[0], Given):
            return "Its rows can be predicted: lora_bert.load(…).predict(texts)"
        source = shlex.quote(str(files[0] if len(files) == 1 else files[0].parent))
        return f"Its rows can be predicted: lora-bert infer --adapter DIR --input {source}"
