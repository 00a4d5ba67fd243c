"""The files of a tokenizer: ``tokenizer.json``, or a vocabulary that one is built from."""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from lora_bert.backbones.config import EncoderConfig
from lora_bert.errors import LoraBertError
from lora_bert.json_files import read_object, read_text
from lora_bert.tokens.sentencepiece_file import read_sentencepiece
from lora_bert.tokens.sentencepiece_layouts import UnusualModelError, convert, layout_of
from lora_bert.tokens.shared_tokenizer import SharedTokenizer, prepared, shared_tokenizer
from lora_bert.wording import reason

log = logging.getLogger(__name__)


def read_tokenizer(
    directory: Path,
    config: EncoderConfig,
    error: type[LoraBertError],
    *,
    clean: bool,
    words: str = "",
) -> tuple[SharedTokenizer, dict[str, Any]]:
    """The tokenizer and its configuration, from files."""
    path = directory / "tokenizer.json"
    if not path.is_file():
        return _convert(directory, config, error, clean=clean, words=words)
    text = read_text(path, error)
    with in_words(f"'{path}'", error):
        shared = shared_tokenizer(text, clean=clean, words=words)
    return shared, _settings(directory, error)


def _settings(directory: Path, error: type[LoraBertError]) -> dict[str, Any]:
    """What the files beside a tokenizer say of it."""
    written: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (directory / name).is_file():
            written |= read_object(directory / name, error)
    return written


@contextmanager
def in_words(what: str, error: type[LoraBertError]) -> Iterator[None]:
    """Say what the Rust library met with: bare exceptions, and panics, which are not even those.

    Raises:
        error: It met with something.
    """
    try:
        yield
    except UnusualModelError:
        raise
    except BaseException as problem:
        if not isinstance(problem, Exception) and type(problem).__name__ != "PanicException":
            raise  # Ctrl-C
        raise error(f"{what} is damaged: {str(problem).rstrip('.')}.") from problem


def _convert(
    directory: Path,
    config: EncoderConfig,
    error: type[LoraBertError],
    *,
    clean: bool,
    words: str = "",
) -> tuple[SharedTokenizer, dict[str, Any]]:
    """Build the fast tokenizer of a directory with vocabulary files only."""
    if any((directory / name).is_file() for name in ("vocab.txt", "vocab.json")):
        _check_no_jieba(directory, config, error)
        _check_whole(directory, error)
        return _by_transformers(directory, config, error, clean=clean, words=words)
    found = sorted(directory.glob("*.model"))
    if not found:
        raise error(f"'{directory}' has no tokenizer: no tokenizer.json and no vocabulary.")
    written = _settings(directory, error)
    layout = layout_of(directory, written, config, error)
    path = next((one for one in found if one.name == layout.file), found[0])
    log.info("Building a fast tokenizer from the SentencePiece model '%s'.", path)
    model = read_sentencepiece(path, error)
    added = _added(directory, written, error)
    try:
        with in_words(f"'{path}'", error):
            core, special = convert(model, layout, written, added)
    except UnusualModelError as problem:
        raise error(
            f"'{path}' is a SentencePiece model that is not converted: {problem}.",
            hint="Have transformers write tokenizer.json: "
            "AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)",
        ) from problem
    return prepared(core, clean=clean, words=words), written | special


def _added(
    directory: Path, written: Mapping[str, Any], error: type[LoraBertError]
) -> dict[str, int]:
    """Tokens that were added to a vocabulary, with their ids, from either place they are kept."""
    path, kept = directory / "added_tokens.json", written.get("added_tokens_decoder")
    found = read_object(path, error) if path.is_file() else {}
    for number, token in (kept if isinstance(kept, dict) else {}).items():
        if str(number).isdecimal() and (text := content_of(token)):
            found[text] = int(number)
    return {text: number for text, number in found.items() if type(number) is int and text}


def _check_no_jieba(directory: Path, config: EncoderConfig, error: type[LoraBertError]) -> None:
    """RoFormer's own class cuts Chinese into words before, by a program and not by a table."""
    said = _settings(directory, error).get("tokenizer_class") or config.tokenizer_class
    known = said if isinstance(said, str) else ""
    if "RoFormer" in known or (not known and config.model_type == "roformer"):
        raise error(
            f"'{directory}' has RoFormer's own tokenizer, which cuts texts with jieba; "
            "tokenizer.json cannot hold that.",
            hint='RoFormers that cut by characters say "tokenizer_class": "BertTokenizer" in '
            "tokenizer_config.json.",
        )


def _check_whole(directory: Path, error: type[LoraBertError]) -> None:
    """Name what transformers would stumble over without a name."""
    if not (directory / "vocab.txt").is_file() and not (directory / "merges.txt").is_file():
        raise error(
            f"The tokenizer in '{directory}' lacks merges.txt, which belongs to its vocab.json.",
            hint="Copy or download it too.",
        )
    if (path := directory / "vocab.txt").is_file() and not path.stat().st_size:
        raise error(f"'{path}' is empty.", hint="Copy or download it again.")


def _by_transformers(
    directory: Path,
    config: EncoderConfig,
    error: type[LoraBertError],
    *,
    clean: bool,
    words: str = "",
) -> tuple[SharedTokenizer, dict[str, Any]]:
    """Have transformers build the fast tokenizer of a ``vocab.txt``, or of a ``vocab.json``."""
    log.info("Building a fast tokenizer from the vocabulary in '%s'.", directory)
    try:
        with _silent():
            from transformers import AutoTokenizer

            offline = {"local_files_only": True, "trust_remote_code": False}
            slow = AutoTokenizer.from_pretrained(str(directory), **offline)
    except (OSError, ValueError, ImportError) as problem:
        raise error(
            f"transformers cannot read the tokenizer in '{directory}': {reason(problem)}.",
            hint="Does tokenizer_config.json name the right tokenizer_class, and are all files of "
            "the tokenizer there?",
        ) from problem
    with tempfile.TemporaryDirectory() as work:
        slow.save_pretrained(work)
        return read_tokenizer(Path(work), config, error, clean=clean, words=words)


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what another library says from the screen: what matters of it, we say."""
    level = logging.root.manager.disable
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(level)


def content_of(token: Any) -> str | None:
    """The text of a special token, written plainly or as an ``AddedToken``; None where neither."""
    found = token.get("content") if isinstance(token, dict) else token
    # Half a surrogate pair cannot be handed to Rust, so no token consists of one.
    return found if isinstance(found, str) and found == without_surrogates(found) else None


def without_surrogates(text: str) -> str:
    """A text that can be handed to Rust: halves of a surrogate pair become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")
