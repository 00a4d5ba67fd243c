"""What Python may give where the command line has a text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias


class Frame(Protocol):
    """A table with named columns, such as a pandas DataFrame."""

    @property
    def columns(self) -> Any: ...  # noqa: D102

    def __getitem__(self, name: Any, /) -> Any: ...


StrPath: TypeAlias = str | Path
"""A file, a directory or a name."""

RowsLike: TypeAlias = (
    StrPath
    | Sequence[StrPath]
    | Iterable[Mapping[str, Any]]
    | Iterable[tuple[str, Any]]
    | Iterable[tuple[str, str, Any]]
    | Mapping[str, Any]
    | Frame
)
"""Where rows are, or the rows themselves, see :func:`lora_bert.data.given.given_rows`."""

Names: TypeAlias = str | Sequence[str]
"""Names with commas between, or a list of them."""

Numbers: TypeAlias = str | Sequence[float]
"""Numbers with commas between, or a list of them."""

Renaming: TypeAlias = str | Mapping[Any, Any]
"""``"0=negative,1=positive"``, or ``{0: "negative", 1: "positive"}``."""
