"""Files and names become examples and splits (no torch here)."""

from lora_bert.data.data_checks import warn_about
from lora_bert.data.data_options import DataOptions
from lora_bert.data.examples import Examples, examples_from
from lora_bert.data.rows import ReadOptions
from lora_bert.data.sources import Splits, load_rows, load_splits
from lora_bert.data.tables import Table, iter_tables, read_table

__all__ = [
    "DataOptions",
    "Examples",
    "ReadOptions",
    "Splits",
    "Table",
    "examples_from",
    "iter_tables",
    "load_rows",
    "load_splits",
    "read_table",
    "warn_about",
]
