"""A backbone's name -> the directory that holds it: embedded, local, or from the hub."""

from __future__ import annotations

import logging
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from lora_bert.backbones.embedded import EMBEDDED, unpack
from lora_bert.backbones.fingerprint import LOCATIONS, NOTES
from lora_bert.backbones.nearby import MODULES, name_of, no_backbone, transformer_in
from lora_bert.config import BackboneConfig
from lora_bert.config.kinds import StrPath
from lora_bert.errors import BackboneError, NotFoundError, UnavailableError, did_you_mean, missing
from lora_bert.network import answer_of
from lora_bert.notes import read_notes, write_note
from lora_bert.options import build
from lora_bert.python_face import called_from_python

log = logging.getLogger(__name__)

TOKENIZER_FILES = tuple(
    "tokenizer* special_tokens_map.json added_tokens.json vocab.* merges.txt *.model".split()
)
"""Patterns of the files that a tokenizer is made of."""
POOLING = "*_Pooling/config.json"
"""Pattern of the file in which sentence-transformers says what is read of a text."""
_WEIGHTS, _PICKLES = "model*.safetensors", "pytorch_model*.bin"
_SECONDS_TO_ANSWER = 3.0


@dataclass(frozen=True)
class BackboneFiles:
    """A backbone that is here.

    Attributes:
        name: How adapters refer to it: the embedded name, the hub id, or the last part of a local
            path. Never a path of this machine.
        path: The ``transformers`` directory.
        revision: The hub's commit; None elsewhere.
        from_hub: Whether it lies in the hub's cache, which finds it again by itself.
    """

    name: str
    path: Path
    revision: str | None = None
    from_hub: bool = field(default=False, compare=False)


@called_from_python(BackboneConfig)
def backbone_path(name: StrPath = EMBEDDED[0], revision: str | None = None) -> Path:
    """The local directory of a backbone, unpacked or downloaded if need be.

    Args:
        name: ``e5-small-zh-en`` (embedded), a local directory, or a hub id.
        revision: Commit, tag or branch on the hub.

    Raises:
        NotFoundError: There is nothing of that name.
        BackboneError: It is a directory without config.json.
        UnavailableError: It is not in the hub's cache and the hub cannot be reached.
    """
    config = build(BackboneConfig, {"name": name, "revision": revision})
    return find_backbone(config.name, config.revision).path


def find_backbone(
    name: str, revision: str | None = None, *, offline: bool = False
) -> BackboneFiles:
    """As :func:`backbone_path`, with the portable name; ``offline`` never asks the hub."""
    given = Path(name)
    with suppress(OSError, RuntimeError):
        given = given.expanduser()
    if here := find_local(name):
        if wrong := no_backbone(here.path):
            raise wrong
        if (given / MODULES).is_file() and given.resolve() != here.path:
            what = f"its transformer, '{here.path.name}', is the backbone"
            log.info("'%s' is a model of sentence-transformers: %s.", name, what)
        return here
    with suppress(OSError):
        if (given.is_dir() or given.is_file()) and (wrong := no_backbone(given)):
            raise wrong
    if not _is_hub_id(name):
        raise NotFoundError(
            f"No such backbone directory: '{name}'.", hint=did_you_mean(name, EMBEDDED)
        )
    snapshot = _from_hub(name, revision, _WEIGHTS, offline=offline)
    # The hub's cache calls a snapshot by its commit: a branch may have moved by tomorrow.
    commit = snapshot.name if snapshot.parent.name == "snapshots" else revision
    return BackboneFiles(name, snapshot, commit, from_hub=True)


def find_pickled(name: str, revision: str | None = None) -> Path:
    """The directory of a backbone whose weights are a pickle: local, or fetched from the hub.

    Raises:
        NotFoundError: There is nothing of that name.
        UnavailableError: It is not in the hub's cache and the hub cannot be reached.
    """
    here = Path(name).expanduser()
    if here.is_dir():
        return transformer_in(here) or here
    if not _is_hub_id(name):
        raise missing(here, "backbone directory")
    return _from_hub(name, revision, _PICKLES)


def _is_hub_id(name: str) -> bool:
    looks_local = name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name
    return not looks_local and bool(re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name, re.ASCII))


def find_local(name: str) -> BackboneFiles | None:
    """The backbone of that name, if it is embedded, a directory, or a local one seen before."""
    if name in EMBEDDED:
        return BackboneFiles(name, unpack(name))
    try:
        path = Path(name).expanduser()
        if (home := transformer_in(path)) is not None:
            return BackboneFiles(name_of(home), home.resolve())
        known = _remembered(name)
    except (OSError, RuntimeError):  # a name too long for any file, a user that is not here
        return None
    return BackboneFiles(name, known) if known else None


def remember(backbone: BackboneFiles) -> None:
    """Note where a local backbone is, so that its adapters find it by name on this machine."""
    is_local = backbone.name not in EMBEDDED and "/" not in backbone.name
    if is_local and not backbone.revision and not backbone.from_hub:
        write_note(NOTES, LOCATIONS, backbone.name, str(backbone.path))


def _remembered(name: str) -> Path | None:
    """Where a local backbone of that name was seen, or stands in ``$LORA_BERT_BACKBONES``."""
    search_path = os.environ.get("LORA_BERT_BACKBONES", "").split(os.pathsep)
    places = [Path(base) / name for base in search_path if base]
    if isinstance(seen := read_notes(NOTES, LOCATIONS).get(name), str):
        places.append(Path(seen))
    return next((home for place in places if (home := transformer_in(place))), None)


def _from_hub(name: str, revision: str | None, weights: str, *, offline: bool = False) -> Path:
    """The snapshot of a hub's model in the hub's own cache, with the files ``weights`` matches."""
    from huggingface_hub import constants, errors, snapshot_download

    wanted = ["config.json", *TOKENIZER_FILES, POOLING, weights, f"{weights}.index.json"]
    fetch = partial(snapshot_download, name, revision=revision, allow_patterns=wanted)
    try:
        path = Path(fetch(local_files_only=True))
        if (path / "config.json").is_file() and any(path.glob(weights)):
            return path
    except (errors.LocalEntryNotFoundError, FileNotFoundError):
        pass
    except errors.HFValidationError as error:
        raise NotFoundError(
            f"'{name}' is neither a backbone directory nor a name that the hub could have."
        ) from error
    if offline or constants.HF_HUB_OFFLINE or not _reachable(constants.ENDPOINT):
        hint = "Give a local directory."
        if weights == _WEIGHTS:
            instead = (
                f"Give a local directory with --backbone, or use the embedded '{EMBEDDED[0]}'."
            )
            hint = f"{did_you_mean(name, EMBEDDED)} {instead}".strip()
        raise UnavailableError(
            f"Backbone '{name}' is neither a directory nor in the hub's cache, and the hub cannot "
            "be reached.",
            hint=hint,
        )
    try:
        path = Path(fetch())
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        at = f" at revision '{revision}'" if revision else ""
        raise NotFoundError(f"The hub has no backbone '{name}'{at}.") from error
    except (errors.HfHubHTTPError, OSError) as error:
        raise UnavailableError(f"Downloading backbone '{name}' failed: {error}.") from error
    if not (path / "config.json").is_file():
        raise BackboneError(f"'{name}' on the hub is not a transformers model: no config.json.")
    return path


def _reachable(endpoint: str) -> bool:
    """Whether the hub answers within seconds; its own client would try for a minute."""
    import http.client
    import ssl
    from urllib.error import HTTPError
    from urllib.request import Request

    try:
        answer_of(Request(endpoint, method="HEAD"), _SECONDS_TO_ANSWER).close()
    except HTTPError:
        return True  # a refusal is an answer
    except (OSError, ValueError, http.client.HTTPException) as error:
        # So is a certificate that only the hub's client may know.
        return isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError)
    return True
