"""A SentencePiece model -> the ``tokenizers`` object that gives its backbone's ids.

The ids of four families' tokenizers that come as a SentencePiece file alone: DeBERTa-v2/v3, ALBERT,
CamemBERT and XLM-R. The pieces are SentencePiece's own, and not those of transformers' conversion,
which leaves out DeBERTa's table of characters; tests hold them against the library itself.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from lora_bert.backbones.config import EncoderConfig
from lora_bert.errors import LoraBertError
from lora_bert.tokens.sentencepiece_file import Algorithm, Kind, Piece, SentencePieceModel

_SPACE = "▁"
_ASIDE = "\ufdd0"
"""No character: no text holds it."""
_BRACKETS = dict.fromkeys(("bos", "cls"), "[CLS]") | dict.fromkeys(("eos", "sep"), "[SEP]")
_ANGLES = dict.fromkeys(("bos", "cls"), "<s>") | dict.fromkeys(("eos", "sep"), "</s>")


class UnusualModelError(Exception):
    """A SentencePiece model whose pieces would not come out the same; the text says why."""


@dataclass(frozen=True)
class Layout:
    """How a tokenizer's class makes ids of pieces.

    Attributes:
        file: What it calls its file.
        special: Its special tokens, unless ``tokenizer_config.json`` says otherwise.
        front: Tokens before the pieces, in place of the first ``skipped`` of them.
        skipped: How many pieces have no place of their own.
        back: Tokens behind the pieces.
        strips_before_mask: Whether the mask token takes the space before it along.
        prepares: Whether ALBERT's preparation comes first.
        as_roberta: Whether two separators stand between the texts of a pair, all of type 0.
    """

    file: str
    special: Mapping[str, str]
    front: tuple[str, ...] = ()
    skipped: int = 0
    back: tuple[str, ...] = ()
    strips_before_mask: bool = True
    prepares: bool = False
    as_roberta: bool = False


LAYOUTS: Mapping[str, Layout] = {
    "DebertaV2Tokenizer": Layout(
        "spm.model",
        {**_BRACKETS, "unk": "[UNK]", "pad": "[PAD]", "mask": "[MASK]"},
        strips_before_mask=False,
    ),
    "AlbertTokenizer": Layout(
        "spiece.model",
        {**_BRACKETS, "unk": "<unk>", "pad": "<pad>", "mask": "[MASK]"},
        prepares=True,
    ),
    "CamembertTokenizer": Layout(
        "sentencepiece.bpe.model",
        {**_ANGLES, "unk": "<unk>", "pad": "<pad>", "mask": "<mask>"},
        front=("<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED"),
        skipped=1,
        back=("<mask>",),
        as_roberta=True,
    ),
    "XLMRobertaTokenizer": Layout(
        "sentencepiece.bpe.model",
        {**_ANGLES, "unk": "<unk>", "pad": "<pad>", "mask": "<mask>"},
        front=("<s>", "<pad>", "</s>", "<unk>"),
        skipped=3,
        back=("<mask>",),
        as_roberta=True,
    ),
}
"""By the name of the class in transformers."""

_OF_TYPE = {
    "deberta-v2": "DebertaV2Tokenizer",
    "albert": "AlbertTokenizer",
    "camembert": "CamembertTokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
}
_GENERAL = ("PreTrainedTokenizer", "TokenizersBackend", "SentencePieceBackend")
"""Classes that say nothing of a layout."""


def layout_of(
    directory: Path, written: Mapping[str, Any], config: EncoderConfig, error: type[LoraBertError]
) -> Layout:
    """Which layout a backbone's pieces have: its class decides, else its ``model_type``.

    The class is in ``tokenizer_config.json``, which is ``written``, or in ``config``.

    Raises:
        error: The layout is another one.
    """
    for said in (written.get("tokenizer_class"), config.tokenizer_class):
        name = str(said or "").removesuffix("Fast")
        if name in LAYOUTS:
            return LAYOUTS[name]
        if name and name not in _GENERAL:
            raise _other(directory, f"'{name}'", error)
    if config.model_type not in _OF_TYPE:
        raise _other(directory, f"a '{config.model_type}' backbone", error)
    return LAYOUTS[_OF_TYPE[config.model_type]]


def _other(directory: Path, what: str, error: type[LoraBertError]) -> LoraBertError:
    return error(
        f"'{directory}' has a SentencePiece model and no tokenizer.json, and how {what} numbers "
        "its pieces is not known here.",
        hint=f"Known are {', '.join(LAYOUTS)}. Have transformers write tokenizer.json: "
        "AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)",
    )


def convert(
    model: SentencePieceModel, layout: Layout, written: Mapping[str, Any], added: Mapping[str, int]
) -> tuple[Tokenizer, dict[str, Any]]:
    """The tokenizer of a SentencePiece model, and its special tokens as ``*_token``.

    ``written`` is ``tokenizer_config.json`` with special tokens, ``do_lower_case`` and the like;
    ``added`` are tokens that were added to the vocabulary later, with their ids.

    Raises:
        UnusualModelError: A kind of model whose pieces would be other ones; the text says which.
    """
    _check_kind(model)
    usual = {f"{name}_token": text for name, text in layout.special.items()}
    special = {name: written.get(name) or text for name, text in usual.items()}
    names = {name: _text(token) for name, token in special.items()}
    core = Tokenizer(_vocabulary(model, layout, {*names.values(), *added}))
    core.normalizer = normalizers.Sequence([*_prepared(layout, written), *_normalised(model)])
    core.pre_tokenizer = _words(model, written)
    core.decoder = decoders.Metaspace(_SPACE, "always" if model.adds_prefix else "never")
    for text, number in sorted(added.items(), key=lambda pair: pair[1]):
        core.add_tokens([AddedToken(text, normalized=False)])
        if core.token_to_id(text) != number:
            raise UnusualModelError(
                f"'{text}' was added to it as number {number}, which is not the next"
            )
    _add_special(core, special, layout)
    first, last = names["cls_token"], names["sep_token"]
    second = [last, "$B", last] if layout.as_roberta else ["$B:1", f"{last}:1"]
    core.post_processor = processors.TemplateProcessing(
        single=[first, "$A", last],
        pair=[first, "$A", last, *second],
        special_tokens=[(one, core.token_to_id(one)) for one in dict.fromkeys((first, last))],
    )
    return core, special


def _add_special(core: Tokenizer, special: Mapping[str, Any], layout: Layout) -> None:
    """Have special tokens taken out of texts whole; those without a piece come last."""
    for name in "bos eos unk sep pad cls mask".split():
        token = special[f"{name}_token"]
        told = token if isinstance(token, dict) else {}
        strips = name == "mask" and layout.strips_before_mask
        left, right = bool(told.get("lstrip", strips)), bool(told.get("rstrip", False))
        text = _text(token)
        added = AddedToken(text, lstrip=left, rstrip=right, normalized=False, special=True)
        core.add_special_tokens([added])


def _check_kind(model: SentencePieceModel) -> None:
    kinds = {piece.kind for piece in model.pieces}
    if model.algorithm not in (Algorithm.UNIGRAM, Algorithm.BPE):
        raise UnusualModelError(f"it cuts texts by {model.algorithm.name.lower()}s")
    if not model.escapes or model.space_last:
        raise UnusualModelError("it writes spaces in an unusual way")
    if model.algorithm == Algorithm.BPE and kinds & {Kind.USER_DEFINED, Kind.UNUSED}:
        raise UnusualModelError("it is BPE with symbols of the user's")


def _vocabulary(model: SentencePieceModel, layout: Layout, named: set[str]) -> models.Model:
    """Pieces in their places, those that no text may reach under names that none can have."""
    skipped, kept = model.pieces[: layout.skipped], model.pieces[layout.skipped :]
    if any(piece.kind not in (Kind.UNKNOWN, Kind.CONTROL) for piece in skipped):
        raise UnusualModelError("its first pieces are not the special ones")
    best = max((piece.score for piece in model.pieces if piece.kind == Kind.NORMAL), default=0.0)
    entries = [(text, 0.0) for text in layout.front]
    seen = {*layout.front, *layout.back}
    for piece in kept:
        reachable = _is_reachable(piece, layout, named) and piece.text not in seen
        # A space never comes this far: it is a ▁ by then.
        text = piece.text if reachable else f"{piece.text} {len(entries)}"
        seen.add(text)
        entries.append((text, _score(piece, best)))
    entries += [(text, 0.0) for text in layout.back]
    unknown = layout.front.index("<unk>") if layout.front else model.unknown
    if model.algorithm == Algorithm.UNIGRAM:
        return models.Unigram(entries, unk_id=unknown, byte_fallback=model.falls_back)
    places = {text: at for at, (text, _) in enumerate(entries)}
    return models.BPE(
        places,
        list(_merges(entries, places)),
        unk_token=entries[unknown][0],
        fuse_unk=True,
        byte_fallback=model.falls_back,
    )


def _is_reachable(piece: Piece, layout: Layout, named: set[str]) -> bool:
    """Whether a text can come to hold a piece, as itself or as a special token."""
    if piece.text in named or piece.kind == Kind.UNKNOWN:
        return True
    # ALBERT cuts "9," in two.
    ends_in_number = piece.text.endswith(",") and piece.text[-2:-1].isdigit()
    return piece.kind not in (Kind.CONTROL, Kind.UNUSED) and not (
        layout.prepares and ends_in_number and piece.kind == Kind.NORMAL
    )


def _score(piece: Piece, best: float) -> float:
    """What a piece counts: the user's symbols so much that they win over the ``best``."""
    if piece.kind == Kind.USER_DEFINED:
        return len(piece.text.encode()) * best - 0.1
    return piece.score if piece.kind == Kind.NORMAL else 0.0


def _merges(
    entries: Sequence[tuple[str, float]], places: Mapping[str, int]
) -> Iterator[tuple[str, str]]:
    """The pairs that become a piece, the best piece's first."""
    for text, _ in sorted(entries, key=lambda entry: -entry[1]):
        parts = [(text[:at], text[at:]) for at in range(1, len(text))]
        found = [pair for pair in parts if pair[0] in places and pair[1] in places]
        yield from sorted(found, key=lambda pair: (places[pair[0]], places[pair[1]]))


def _prepared(layout: Layout, written: Mapping[str, Any]) -> Iterator[normalizers.Normalizer]:
    """What the class does to a text before SentencePiece gets it."""
    if layout.prepares:
        yield normalizers.Replace(Regex(r"\s+"), " ")
        yield normalizers.Replace(Regex("``|''"), '"')
        if not written.get("keep_accents", False):
            yield normalizers.NFKD()
            yield normalizers.Replace(Regex(_combining()), "")
    if written.get("do_lower_case", layout.prepares):
        yield normalizers.Lowercase()


def _normalised(model: SentencePieceModel) -> Iterator[normalizers.Normalizer]:
    """What SentencePiece does to a text before it cuts it."""
    if model.characters and "nfkc" in model.rule:
        # The table alone is looked up by what looks like one character, which loses what stands
        # behind ｶ in ｶﾞ; composed before, it is found. SentencePiece leaves ～ as it is.
        yield normalizers.Replace("～", _ASIDE)
        yield normalizers.NFKC()
        yield normalizers.Replace(_ASIDE, "～")
    if model.characters:
        yield normalizers.Replace("\r\n", "\n\n")  # looks like one character, too
        yield normalizers.Precompiled(model.characters)
    if model.trims:
        yield normalizers.Replace(Regex(rf"\A +|[ {_SPACE}]+\z"), "")
        yield normalizers.Replace(Regex(" {2,}"), " ")
    if model.adds_prefix:
        yield normalizers.Prepend(_SPACE)


def _words(model: SentencePieceModel, written: Mapping[str, Any]) -> pre_tokenizers.PreTokenizer:
    # Cutting at spaces first is faster, and the same where no piece could go on behind one.
    known = any(piece.text == _SPACE for piece in model.pieces)
    split = model.splits_at_spaces and model.trims and known
    if not written.get("split_by_punct"):
        return pre_tokenizers.Metaspace(_SPACE, "never", split)
    each = pre_tokenizers.Metaspace(_SPACE, "always" if model.adds_prefix else "never", split)
    return pre_tokenizers.Sequence([pre_tokenizers.Punctuation("isolated"), each])


@cache
def _combining() -> str:
    """A pattern for what Python calls combining: the accents that NFKD sets apart."""
    found = [code for code in range(sys.maxunicode + 1) if unicodedata.combining(chr(code))]
    breaks = [at + 1 for at, (one, other) in enumerate(pairwise(found)) if other != one + 1]
    spans = [found[start:end] for start, end in pairwise([0, *breaks, len(found)])]
    return f"[{''.join(f'{chr(span[0])}-{chr(span[-1])}' for span in spans)}]"


def _text(token: Any) -> str:
    found = token.get("content") if isinstance(token, dict) else token
    if not isinstance(found, str) or not found:
        raise UnusualModelError(f"a special token is {token!r:.60}")
    return found
