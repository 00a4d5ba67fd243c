"""Data sets known by name: one ships with the package, others are fetched once."""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from lora_bert.errors import DataError, NotFoundError, UnavailableError, did_you_mean
from lora_bert.files import atomic_file, cache_dir, sha256
from lora_bert.network import answer_of
from lora_bert.wording import listed

logger = logging.getLogger(__name__)

DEFAULT = "takeaway-mini"
"""The data set that training uses when it is given none."""

_ANSWER_SECONDS = 5.0


@dataclass(frozen=True)
class Published:
    """A file that is fetched from where its authors publish it.

    Attributes:
        path: Where it lies below ``$LORA_BERT_DATA`` and below the cache's ``data``.
        url: Where to get it.
        sha256: What it must be.
        size: Its size in MB, for the message.
    """

    path: str
    url: str
    sha256: str
    size: float


NAMED: dict[str, Path | Published] = {
    "takeaway-mini": Path(__file__).with_name("takeaway-mini.csv"),
    "waimai": Published(
        path="waimai/waimai_10k.csv",
        url="https://raw.githubusercontent.com/SophonPlus/ChineseNlpCorpus/"
        "a0b781d72158bde242c0626c9e354d2b328865ff/datasets/waimai_10k/waimai_10k.csv",
        sha256="b8b5c11c00b51578d35937fca56e03a126b45381f1ea4b22893237cb377a26fe",
        size=0.9,
    ),
}
"""The names and their files: in the package, or published elsewhere."""


def find(name: str) -> Path:
    """The local file of a named data set, fetched if it is not here yet.

    A published file is looked for below ``$LORA_BERT_DATA``, then in the cache, then downloaded
    into the cache.

    Raises:
        NotFoundError: There is no such name.
        UnavailableError: It has to be downloaded, and that fails; known within seconds.
        DataError: What was downloaded is not the published file.
    """
    published = NAMED.get(name)
    if published is None:
        raise NotFoundError(
            f"No such data: '{name}' is neither a file, nor a directory, nor a known name.",
            hint=did_you_mean(name, NAMED) or f"Known names are {listed(sorted(NAMED))}.",
        )
    if isinstance(published, Path):
        return published
    if (own := _own_root() / published.path).is_file():
        if sha256(own) != published.sha256:
            logger.warning(
                "'%s' differs from the published '%s'; its figures do not compare.", own, name
            )
        return own
    return _cached(name, published)


def is_here(name: str) -> bool:
    """Whether :func:`find` needs no network for a known name."""
    published = NAMED.get(name)
    if not isinstance(published, Published):
        return published is not None
    return any((root / published.path).is_file() for root in (_own_root(), cache_dir() / "data"))


def _own_root() -> Path:
    """``$LORA_BERT_DATA``; a directory that is nowhere where it is not set."""
    return Path(os.environ.get("LORA_BERT_DATA") or os.devnull)


def _cached(name: str, published: Published) -> Path:
    path = cache_dir() / "data" / published.path
    if path.is_file():
        if sha256(path) == published.sha256:
            return path
        logger.warning("'%s' is not the published '%s'; fetching it again.", path, name)
    logger.info("Downloading '%s' (%s MB) from %s", name, published.size, published.url)
    try:
        with answer_of(published.url, _ANSWER_SECONDS) as answer:
            body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError(
            f"The data set '{name}' is not here and cannot be downloaded "
            f"({getattr(error, 'reason', error)}).",
            hint=f"Get {published.url} by other means and put it at '{path}'.",
        ) from error
    if hashlib.sha256(body).hexdigest() != published.sha256:
        raise DataError(
            f"What {published.url} sends is not the published '{name}' (its SHA-256 is another).",
            hint="Something in between, such as a proxy, may answer in its place.",
        )
    with atomic_file(path) as work:
        work.write_bytes(body)
    return path
