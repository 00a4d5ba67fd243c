"""Text -> token ids: as transformers does it, cleaned as the tutorials do it, for any text."""

from __future__ import annotations

import json
import re
import shutil
import string
from pathlib import Path

import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_bert.backbones.families.registry import read_encoder_config
from lora_bert.errors import AdapterError, BackboneError
from lora_bert.tokens.tokenizer import TextTokenizer, load_tokenizer
from tests.oracle import rows_of
from tests.tiny import SIZES, SPECIAL, VOCABULARY, write_backbone

CHINESE = "！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～"
CHINESE += "、〃《》「」『』【】〔〕–—‘’‛“”„‟…‧"
TEXTS = [
    "good, tasty!!! fast...",
    "很好吃，味道太差了。。。",
    "  (good)   bad  ",
    "【送餐】太慢了！~~",
    "good-tasty_fast/slow@late#cold",
    "a+b=c <hot> $5 ^ | `x` ~ 100%",
    "“好”‘差’…",
    "",
    "!!!",
]


def tutorial_clean(text: str) -> str:
    """What the tutorials do before tokenising: punctuation to spaces, strip."""
    return re.sub(f"[{re.escape(string.punctuation + CHINESE)}]", " ", text).strip()


def tokenizer_of(directory: Path, **options):
    options = {"max_length": 64} | options
    return load_tokenizer(directory, read_encoder_config(directory), **options)


def ids(tokenizer, texts):
    return rows_of(tokenizer.encode(texts))


@pytest.fixture(scope="module")
def saved(tiny_backbone, tmp_path_factory):
    """The tiny backbone's tokenizer as we save it, with cleaning, beside a config.json."""
    place = tmp_path_factory.mktemp("cleaning")
    tokenizer_of(tiny_backbone, clean=True).save(place)
    (place / "config.json").write_bytes((tiny_backbone / "config.json").read_bytes())
    return place


def test_ids_are_transformers_ids(tiny_backbone):
    theirs = transformers.AutoTokenizer.from_pretrained(tiny_backbone)
    ours = tokenizer_of(tiny_backbone)
    assert ids(ours, TEXTS) == theirs(TEXTS).input_ids
    assert ours.pad_id == theirs.pad_token_id == 1
    assert ours.unknown_id == theirs.unk_token_id == 3


def test_cleaning_is_the_tutorials(tiny_backbone):
    plain, cleaning = tokenizer_of(tiny_backbone), tokenizer_of(tiny_backbone, clean=True)
    assert ids(cleaning, TEXTS) == ids(plain, [tutorial_clean(text) for text in TEXTS])
    assert ids(cleaning, TEXTS) != ids(plain, TEXTS)


ALPHABET = "".join(VOCABULARY[5:]) + string.punctuation + CHINESE + string.whitespace


@settings(max_examples=60, deadline=None)
@given(text=st.text(ALPHABET, max_size=40))
def test_cleaning_is_the_tutorials_for_any_punctuation(tiny_backbone, text):
    plain, cleaning = tokenizer_of(tiny_backbone), tokenizer_of(tiny_backbone, clean=True)
    assert ids(cleaning, [text]) == ids(plain, [tutorial_clean(text)])


def test_the_saved_tokenizer_cleans_for_us_and_for_plain_transformers(tiny_backbone, saved):
    expected = ids(tokenizer_of(tiny_backbone, clean=True), TEXTS)
    assert ids(tokenizer_of(saved), TEXTS) == expected
    theirs = transformers.AutoTokenizer.from_pretrained(saved)
    assert theirs(TEXTS).input_ids == expected


def test_the_saved_tokenizer_says_what_every_version_can_open(saved):
    written = json.loads((saved / "tokenizer_config.json").read_text())
    assert written["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert written["model_max_length"] == 64
    assert written["pad_token"] == "[PAD]"
    core = json.loads((saved / "tokenizer.json").read_text())
    assert core["truncation"] is None
    assert core["padding"] is None


def test_saving_and_loading_twice_changes_nothing(saved, tmp_path):
    (tmp_path / "config.json").write_bytes((saved / "config.json").read_bytes())
    tokenizer_of(saved).save(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / name).read_bytes() == (saved / name).read_bytes()


@pytest.mark.parametrize("length", [3, 4, 10])
def test_a_long_text_is_cut_and_keeps_its_special_tokens(tiny_backbone, length):
    found = ids(tokenizer_of(tiny_backbone, max_length=length), ["good " * 100, "bad"])
    assert [len(row) for row in found] == [length, 3]
    assert found[0][0] == SPECIAL.index("[CLS]")
    assert found[0][-1] == SPECIAL.index("[SEP]")


def test_long_texts_go_to_the_library_a_few_at_once(tiny_backbone, monkeypatch):
    """The library takes about a hundred times the room of what is kept of a text."""
    tokenizer, sizes = tokenizer_of(tiny_backbone), []
    texts, inner = ["good " * (at % 7) for at in range(1500)] + ["bad " * 900], tokenizer._encode

    def counted(self, start, some):
        sizes.append(len(some))
        return inner(start, some)

    whole = ids(tokenizer, texts)
    monkeypatch.setattr(TextTokenizer, "_encode", counted)
    assert ids(tokenizer, texts) == whole
    assert sizes == [1024, 477]
    sizes.clear()
    monkeypatch.setattr("lora_bert.tokens.tokenizer._CHARACTERS_AT_ONCE", 1500)
    assert ids(tokenizer, texts) == whole
    assert sum(sizes) == len(texts)
    assert max(sizes) == 101
    assert ids(tokenizer, []) == []


def test_only_what_is_longer_is_cut(tiny_backbone):
    found = tokenizer_of(tiny_backbone, max_length=5).encode(["good " * n for n in (2, 3, 4, 99)])
    assert found.truncated.tolist() == [False, False, True, True]
    assert found.lengths.tolist() == [4, 5, 5, 5]


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.characters(), max_size=20))
def test_any_text_at_all_is_encoded(tiny_backbone, text):
    (found,) = ids(tokenizer_of(tiny_backbone), [text])
    assert 2 <= len(found) <= 64


def test_half_an_emoji_does_not_stop_anything(tiny_backbone):
    tokenizer = tokenizer_of(tiny_backbone)
    found = ids(tokenizer, ["good \ud83d bad", "\udfff", "good"])
    assert len(found) == 3
    assert found[2] == ids(tokenizer, ["good"])[0]


@pytest.mark.parametrize(
    ("model_type", "extra", "takes"),
    [
        ("bert", {}, True),
        ("bert", {"type_vocab_size": 1}, False),
        ("roberta", {}, False),
        ("distilbert", {}, False),
        ("modernbert", {}, False),
        ("electra", {}, True),
        ("albert", {}, True),
        ("roformer", {}, True),
        ("mpnet", {}, False),
        ("deberta-v2", {}, False),
        ("deberta-v2", {"type_vocab_size": 2}, True),
    ],
)
def test_token_types_only_where_the_family_takes_them(model_type, extra, takes, tmp_path):
    tokenizer = tokenizer_of(write_backbone(tmp_path / "b", model_type, **extra))
    assert tokenizer.takes_types is takes
    tokenizer.save(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert ("token_type_ids" in theirs("good")) is takes


def test_a_directory_with_only_a_vocabulary(tmp_path):
    plain = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *VOCABULARY[5:]]
    (tmp_path / "vocab.txt").write_text("\n".join(plain) + "\n", encoding="utf-8")
    config = {"model_type": "bert", "pad_token_id": 0, "vocab_size": len(plain), **SIZES}
    (tmp_path / "config.json").write_text(json.dumps(config))
    tokenizer = tokenizer_of(tmp_path)
    words = ["[CLS]", "good", "好", "[UNK]", "[SEP]"]
    assert ids(tokenizer, ["Good 好 ☃"]) == [[plain.index(word) for word in words]]
    assert tokenizer.pad_id == 0
    tokenizer.save(tmp_path / ".")
    assert ids(tokenizer_of(tmp_path), TEXTS) == ids(tokenizer, TEXTS)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"vocab.json": '{"<s>": 0}'}, r"lacks merges\.txt, which belongs to its vocab\.json"),
        ({"vocab.txt": ""}, r"vocab\.txt' is empty"),
    ],
)
def test_a_vocabulary_that_is_not_whole(files, says, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "roberta", **SIZES}))
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(BackboneError, match=says):
        tokenizer_of(tmp_path)


def test_a_class_that_transformers_does_not_have(tiny_backbone, tmp_path):
    (tmp_path / "config.json").write_bytes((tiny_backbone / "config.json").read_bytes())
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY))
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "SomebodysTokenizer"}')
    with pytest.raises(BackboneError) as caught:
        tokenizer_of(tmp_path)
    assert "tokenizer_class" in caught.value.hint


def test_padding_not_named_is_the_configs(tiny_backbone, tmp_path):
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((tiny_backbone / name).read_bytes())
    assert tokenizer_of(tmp_path).pad_id == 1


def test_special_tokens_written_at_length(tiny_backbone, tmp_path):
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((tiny_backbone / name).read_bytes())
    token = {"__type": "AddedToken", "content": "[UNK]", "lstrip": False}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"unk_token": token}))
    assert tokenizer_of(tmp_path).unknown_id == 3


@pytest.mark.parametrize("error", [BackboneError, AdapterError])
def test_no_tokenizer(error, tiny_backbone, tmp_path):
    (tmp_path / "config.json").write_bytes((tiny_backbone / "config.json").read_bytes())
    with pytest.raises(error, match=r"no tokenizer\.json and no vocabulary"):
        tokenizer_of(tmp_path, error=error)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_damaged_tokenizer(name, tiny_backbone, tmp_path):
    for kept in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / kept).write_bytes((tiny_backbone / kept).read_bytes())
    (tmp_path / name).write_text("{")
    with pytest.raises(BackboneError, match=name):
        tokenizer_of(tmp_path)


def test_a_tokenizer_without_padding(tiny_backbone, tmp_path):
    for kept in ("config.json", "tokenizer.json"):
        (tmp_path / kept).write_bytes((tiny_backbone / kept).read_bytes())
    (tmp_path / "tokenizer_config.json").write_text('{"pad_token": "[NONE]"}')
    with pytest.raises(BackboneError, match="no padding token"):
        tokenizer_of(tmp_path)


def test_a_panic_in_rust_is_an_error_in_words(tiny_backbone, tmp_path):
    """It is no Exception; found by fuzzing: a template that names a token nobody has."""
    place = shutil.copytree(tiny_backbone, tmp_path / "b")
    path = place / "tokenizer.json"
    written = json.loads(path.read_text())
    written["post_processor"]["special_tokens"] = {}
    path.write_text(json.dumps(written))
    with pytest.raises(BackboneError, match="is damaged"):
        load_tokenizer(place, read_encoder_config(place), max_length=9).encode(["good"])
