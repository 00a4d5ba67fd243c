"""What an adapter or model consists of must lie in its own directory."""

from __future__ import annotations

from pathlib import Path

from lora_bert.errors import LoraBertError


def check_inside(directory: Path, error: type[LoraBertError]) -> None:
    """Check that nothing below a directory is a link to somewhere else.

    The hub's cache is the exception: there a model's files are links into its own ``blobs``.

    Raises:
        error: Something leads out of it.
    """
    for entry in sorted(directory.rglob("*")):
        check_entry(entry, directory, error)


def check_entry(entry: Path, directory: Path, error: type[LoraBertError]) -> None:
    """Check that an entry of a directory is no link to somewhere else; as :func:`check_inside`."""
    if not is_inside(entry, directory):
        raise error(
            f"'{entry}' is a link that leads out of its directory.",
            hint="Put the file itself there.",
        )


def is_inside(entry: Path, directory: Path) -> bool:
    """Whether an entry of a directory is there itself, or a link to something there."""
    if not entry.is_symlink():
        return True
    home = directory.resolve()
    allowed = [home]
    if home.parent.name == "snapshots":
        allowed.append(home.parent.parent / "blobs")
    return any(place in entry.resolve().parents for place in allowed)
