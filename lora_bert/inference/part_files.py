"""Predictions in part files: where they wait until all are there, and become the output."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_bert import remote
from lora_bert._version import __version__
from lora_bert.errors import ConfigError, OutputError
from lora_bert.files import PARTS_MARK, claim_output, put_in_place, short_name, spare_inputs
from lora_bert.inference.sinks import join_files
from lora_bert.inference.stream import check_suffix, check_target
from lora_bert.json_files import json_text

_UNDER_WAY = "_lora_bert.copying.json"
"""In a directory that is being written to a store of objects, until all parts are there."""


@dataclass(frozen=True)
class Output:
    """What ``--output`` names, by path or URL: a file, or with ``DIR/*.csv`` a directory of parts.

    Attributes:
        target: The file or the directory; a path is absolute.
        suffix: The format to write.
        is_one: Whether it is one file.
        overwrite: Whether it may stand there already.
    """

    target: str
    suffix: str
    is_one: bool
    overwrite: bool

    @classmethod
    def of(cls, name: str, *, overwrite: bool) -> Output:
        """The output of that name.

        Raises:
            ConfigError: A format that is not known, or a pattern of another kind.
        """
        check_suffix(name)
        directory, base = posixpath.split(name)
        is_one = "*" not in base
        if not is_one and (
            Path(base).stem != "*" or name.count("/") < (4 if remote.is_url(name) else 1)
        ):
            raise ConfigError(
                f"--output '{name}': a pattern stands for the part files of a directory.",
                hint=f"For example: --output 'scored/*{Path(base).suffix}'",
            )
        target = name if is_one else directory
        target = target if remote.is_url(target) else str(Path(target).resolve())
        return cls(target, Path(base).suffix.lower(), is_one, overwrite)

    def claim(self, sources: Sequence[str]) -> None:
        """Find what is wrong with it before any work is done for it.

        Raises:
            OutputError: It exists (unless ``overwrite``), is or holds an input, or cannot be there.
        """
        here = [Path(source) for source in sources if not remote.is_url(source)]
        if not remote.is_url(self.target):
            if self.is_one:
                check_target(here, Path(self.target), overwrite=self.overwrite)
            else:
                claim_output(Path(self.target), overwrite=self.overwrite)
                spare_inputs(Path(self.target), here)
            return
        if any(name == self.target or name.startswith(f"{self.target}/") for name in sources):
            raise OutputError(f"Output '{self.target}' is or holds an input.")
        taken = remote.names_in(self.target) if not self.is_one else remote.exists(self.target)
        if isinstance(taken, set) and _UNDER_WAY in taken:
            return  # what a job was copying when it ended: nothing that was ever complete
        if taken and not self.overwrite:
            raise OutputError(
                f"Output '{self.target}' exists.", hint="Choose another name, or use --overwrite."
            )
        if isinstance(taken, set) and taken and PARTS_MARK not in taken:
            raise OutputError(
                f"Output '{self.target}' holds something else than predictions: --overwrite does "
                "not replace that."
            )

    def waiting_room(self, key: str) -> str:
        """The directory beside it where the parts of the job with that ``key`` wait."""
        parent, _, name = self.target.rpartition("/")
        return f"{parent}/.{short_name(name)}.{key}"

    def complete(self, room: str, parts: Mapping[str, int]) -> None:
        """Make the output of the parts in the waiting room, name -> rows, and clear the room.

        Raises:
            OutputError: A part is not there, or the output cannot be written.
        """
        names, there = sorted(parts), remote.names_in(room)
        if lacking := [name for name in names if name not in there]:
            raise OutputError(
                f"'{room}' lacks the part '{lacking[0]}', which a machine has written.",
                hint="A path must be one that all machines share; else name a URL.",
            )
        if self.is_one:
            with remote.whole_file(self.target, overwrite=self.overwrite) as work:
                join_files(_copies(room, names), work, self.suffix)
            remote.remove([room])
            return
        mark = {"lora_bert": __version__, "rows": sum(parts.values()), "parts": len(parts)}
        if not remote.is_url(room):
            remote.remove(f"{room}/{name}" for name in there.difference(names))
            Path(room, PARTS_MARK).write_text(json_text(mark) + "\n", encoding="utf-8")
            put_in_place(Path(room), Path(self.target), overwrite=self.overwrite)
            return
        # No store of objects renames a directory: what says that all are there comes last.
        old = remote.names_in(self.target)
        self._mark(_UNDER_WAY, mark)
        remote.remove(f"{self.target}/{name}" for name in (PARTS_MARK, *old) if name in old)
        remote.copy(names, room, self.target)
        self._mark(PARTS_MARK, mark)
        remote.remove([f"{self.target}/{_UNDER_WAY}", room])

    def _mark(self, name: str, mark: Mapping[str, Any]) -> None:
        """Write what says of the directory how far it is."""
        with remote.whole_file(f"{self.target}/{name}") as work:
            work.write_text(json_text(mark) + "\n", encoding="utf-8")


def _copies(room: str, names: Sequence[str]) -> Iterator[Path]:
    for name in names:
        with remote.local_copy(f"{room}/{name}") as path:
            yield path
