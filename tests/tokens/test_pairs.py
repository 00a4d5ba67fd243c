"""Pairs -> token ids and types: as the tokenizer of each family in transformers does it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import processors

from lora_bert.backbones.families.registry import read_encoder_config
from lora_bert.cache import kept_tokens
from lora_bert.data.texts import TextPairs
from lora_bert.errors import BackboneError, ConfigError
from lora_bert.tokens.tokenizer import TextTokenizer, load_tokenizer
from tests.oracle import rows_of
from tests.tiny import FAMILIES, SIZES, write_backbone

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<s>", "<pad>", "</s>", "<unk>", "<mask>"]
PIECES += ["▁", *"abcdefghijklmnopqrstuvwxyz"]
NUMBERED = {piece: at for at, piece in enumerate(PIECES)}
SCORED = [(piece, -1.0) for piece in PIECES]
MAKERS: dict[str, Callable[[], Any]] = {
    "bert": lambda: transformers.BertTokenizer(vocab=NUMBERED),
    "roberta": lambda: transformers.RobertaTokenizer(vocab=NUMBERED, merges=[]),
    "distilbert": lambda: transformers.DistilBertTokenizer(vocab=NUMBERED),
    "modernbert": lambda: transformers.BertTokenizer(vocab=NUMBERED),
    "xlm-roberta": lambda: transformers.XLMRobertaTokenizer(vocab=SCORED),
    "electra": lambda: transformers.ElectraTokenizer(vocab=NUMBERED),
    "albert": lambda: transformers.AlbertTokenizer(vocab=SCORED),
    "deberta-v2": lambda: transformers.DebertaV2Tokenizer(vocab=SCORED),
    "mpnet": lambda: transformers.MPNetTokenizer(vocab=NUMBERED),
    "camembert": lambda: transformers.CamembertTokenizer(vocab=SCORED),
    "ernie": lambda: transformers.BertTokenizer(vocab=NUMBERED),
    "roformer": lambda: transformers.BertTokenizer(vocab=NUMBERED),
}
"""The class that transformers has for each family, with a vocabulary of letters."""
TYPED = ("bert", "electra", "albert", "ernie", "roformer")
"""Families whose usual backbones learn token types."""
PAIRS = [("a b c", "d e"), ("a", "b c d e f g h"), ("", "a"), ("b", ""), ("a" * 30, "b c" * 30)]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A directory for each family with its tokenizer as transformers saves it."""
    made = {}
    for family in FAMILIES:
        place = made[family] = tmp_path_factory.mktemp(family)
        tokenizer = MAKERS[family]()
        tokenizer.save_pretrained(place)
        own = {"roberta": 1, "xlm-roberta": 1, "camembert": 1, "deberta-v2": 0}
        config = {"model_type": family, **SIZES, "pad_token_id": tokenizer.pad_token_id}
        if family == "modernbert":
            config |= {"cls_token_id": 2, "sep_token_id": 3}
        if family in own:
            config["type_vocab_size"] = own[family]
        (place / "config.json").write_text(json.dumps(config))
    return made


def opened(place: Path, max_length: int = 16) -> TextTokenizer:
    return load_tokenizer(place, read_encoder_config(place), max_length=max_length)


def types_of(tokenizer: TextTokenizer, pairs: list[tuple[str, str]]) -> list[list[int]]:
    made = tokenizer.encode(pairs)
    types = np.zeros_like(made.ids) if made.token_type_ids is None else made.token_type_ids
    return [row.tolist() for row in np.split(types, made.starts[1:])[: len(made)]]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("length", [5, 8, 16, 100])
def test_ids_are_those_of_the_family_in_transformers(
    family: str, length: int, places: dict[str, Path]
) -> None:
    theirs = MAKERS[family]()
    expected = theirs(
        *map(list, zip(*PAIRS, strict=True)), truncation=True, max_length=length,
        return_token_type_ids=True,
    )  # fmt: skip
    ours = opened(places[family], length)
    if length < ours.special_tokens(pair=True) + 2:
        with pytest.raises(ConfigError, match="--max-length"):
            ours.encode(PAIRS)
        return
    assert rows_of(ours.encode(PAIRS)) == expected.input_ids
    typed = (
        expected.token_type_ids if family in TYPED else [[0] * len(r) for r in expected.input_ids]
    )
    assert types_of(ours, PAIRS) == typed


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta", "camembert", "mpnet"])
def test_two_separators_stand_between_where_the_family_has_them(
    family: str, places: dict[str, Path]
) -> None:
    ours = opened(places[family])
    tokens = [ours.token(at) for at in rows_of(ours.encode([("a", "b")]))[0]]
    assert tokens[0] == "<s>"
    assert tokens.count("</s>") == 3
    at = tokens.index("</s>")
    assert tokens[at + 1] == "</s>"


@pytest.mark.parametrize("family", TYPED)
def test_the_second_text_is_of_another_type(family: str, places: dict[str, Path]) -> None:
    (types,) = types_of(opened(places[family]), [("a b", "c d")])
    assert types[0] == 0
    assert types[-1] == 1
    assert types == sorted(types)


@settings(max_examples=60, deadline=None)
@given(
    pairs=st.lists(st.tuples(*[st.text("abc xyz", max_size=40)] * 2), min_size=1, max_size=5),
    length=st.integers(5, 40),
)
def test_any_pair_is_cut_as_transformers_cuts_it(
    places: dict[str, Path], pairs: list[tuple[str, str]], length: int
) -> None:
    theirs = transformers.AutoTokenizer.from_pretrained(places["bert"])
    first, second = map(list, zip(*pairs, strict=True))
    expected = theirs(first, second, truncation="longest_first", max_length=length)
    made = opened(places["bert"], length).encode(pairs)
    assert rows_of(made) == expected.input_ids
    whole = theirs(first, second)
    assert made.truncated.tolist() == [len(row) > length for row in whole.input_ids]


def test_stored_columns_are_encoded_as_a_list_of_pairs_is(places: dict[str, Path]) -> None:
    tokenizer = opened(places["bert"])
    columns = TextPairs(*map(list, zip(*PAIRS, strict=True)))
    one, other = tokenizer.encode(PAIRS), tokenizer.encode(columns)
    assert rows_of(one) == rows_of(other)
    assert np.array_equal(one.token_type_ids, other.token_type_ids)


def test_half_an_emoji_in_a_pair_does_not_stop_anything(places: dict[str, Path]) -> None:
    assert len(opened(places["bert"]).encode([("a \ud83d", "b"), ("\udfff", "\udfff")])) == 2


def test_a_tokenizer_for_single_texts_alone_is_refused(tmp_path: Path) -> None:
    place = write_backbone(tmp_path / "single")
    tokenizer = opened(place)
    tokenizer.core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 0), ("[SEP]", 2)]
    )
    with pytest.raises(BackboneError, match="made for single texts"):
        tokenizer.encode([("good", "bad")])


def test_tokens_of_pairs_are_kept_apart_from_those_of_texts(
    places: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORA_BERT_CACHE", str(tmp_path))
    monkeypatch.setattr(kept_tokens, "WORTH_KEEPING", 1)
    tokenizer = opened(places["bert"])
    swapped = [(second, first) for first, second in PAIRS]
    flat = [text for pair in zip(*PAIRS, strict=True) for text in pair]
    for _ in range(2):  # made, then read
        for texts in (PAIRS, swapped, flat):
            kept = kept_tokens.tokenize_cached(tokenizer, texts)
            assert rows_of(kept) == rows_of(tokenizer.encode(texts))
            expected = tokenizer.encode(texts).token_type_ids
            assert (kept.token_type_ids is None) == (expected is None)
            assert expected is None or np.array_equal(kept.token_type_ids, expected)
    assert len(list(tmp_path.rglob("ids.npy"))) == 3
