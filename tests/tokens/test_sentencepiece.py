"""Backbones with a SentencePiece model alone: their ids are those of SentencePiece itself."""

from __future__ import annotations

import io
import json
import random
import re
import unicodedata
from pathlib import Path

import pytest

import lora_bert
from lora_bert.backbones.families.registry import read_encoder_config
from lora_bert.data import named
from lora_bert.errors import BackboneError, LoraBertError
from lora_bert.tokens.sentencepiece_file import Algorithm, Kind, read_sentencepiece
from lora_bert.tokens.tokenizer import load_tokenizer
from tests.oracle import rows_of
from tests.pieces import SMALL, USUAL, field, piece
from tests.tiny import SIZES, write_backbone

sentencepiece = pytest.importorskip("sentencepiece")

BRACKETS = {"pad": "[PAD]", "unk": "[UNK]", "bos": "[CLS]", "eos": "[SEP]"}
DEBERTA = {f"{name}_piece": text for name, text in BRACKETS.items()}
DEBERTA |= {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3}
ALBERT = {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, "control_symbols": "[CLS],[SEP]"}
ALBERT |= {"user_defined_symbols": "[MASK],(,),£,–", "byte_fallback": False}
FILES = {"deberta-v2": "spm.model", "albert": "spiece.model"}
FILES |= dict.fromkeys(("camembert", "xlm-roberta"), "sentencepiece.bpe.model")
ENGLISH = [
    "The food was good, tasty and hot!",
    "Two hours waiting: (never) again…",
    "It cost £9,50 – 10,5",
    "They're slow; it's awful.",
    "Crème brûlée, naïve café",
    "RE: order #1234 / 50% off",
]
ODD = [
    "",
    " ",
    "  good   food ",
    "a\tb\nc\r\nd",
    "ｆｕｌｌ　ｗｉｄｔｈ！",
    "～",
    "①②③ ﬁne ½ ㌘",
    "ｶﾞｷﾞ ﾊﾟﾝ",
    "e\u0301 \u00e9 n\u0303",
    "नमस्ते खाना",
    "อาหาร น้ำ",
    "الطَّعَامُ",
    "Đồ ăn rất ngon",
    "각 한국어",
    "x▁y",
    "▁a",
    "😀 good 👩‍👩‍👧",
    "a\u00a0b\u200bc",
    "9, 10, 11,5 a9,",
    "``q'' 'w'",
    "İstanbul",
    "q" * 300,
    "(a)(b)£–",
]


@pytest.fixture(scope="module")
def chinese() -> list[str]:
    lines = named.find(named.DEFAULT).read_text(encoding="utf-8").splitlines()
    return [line.split(",", 1)[-1] for line in lines[1:300]]


@pytest.fixture(scope="module")
def texts(chinese: list[str]) -> list[str]:
    chance = random.Random(0)
    letters = "abcdefgh ABC 123,.! ()很好吃味道éẹＡＢ\u3000\t\n①ﬁ😀▁각가ガｶ"
    made = ["".join(chance.choices(letters, k=chance.randint(0, 25))) for _ in range(1500)]
    return [*chinese[:100], *ENGLISH, *ODD, *made]


@pytest.fixture
def trained_on(chinese: list[str], tmp_path: Path):
    """Trains a SentencePiece model and puts it into a backbone's directory alone."""

    def make(family: str, written: dict | None = None, **options):
        stream = io.BytesIO()
        usual = {"vocab_size": 1400, "hard_vocab_limit": False, "minloglevel": 2}
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([*chinese, *ENGLISH * 20]), model_writer=stream,
            character_coverage=0.99, **usual | options,
        )  # fmt: skip
        place = tmp_path / f"{family}-spm"
        place.mkdir(exist_ok=True)
        (place / FILES[family]).write_bytes(stream.getvalue())
        (place / "config.json").write_text(json.dumps({"model_type": family, **SIZES}))
        (place / "tokenizer_config.json").write_text(json.dumps(written or {}))
        return place, sentencepiece.SentencePieceProcessor(model_proto=stream.getvalue())

    return make


def ids_of(place: Path, texts: list[str]) -> list[list[int]]:
    tokenizer = load_tokenizer(place, read_encoder_config(place), max_length=1000)
    return rows_of(tokenizer.encode(texts))


def assert_equal(place: Path, texts: list[str], expected) -> None:
    for text, found in zip(texts, ids_of(place, texts), strict=True):
        assert found == expected(text), repr(text)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"normalization_rule_name": "identity"},
        {"byte_fallback": True},
        {"model_type": "bpe"},
        {"model_type": "bpe", "byte_fallback": True},
        {"add_dummy_prefix": False},
        {"remove_extra_whitespaces": False},
        {"user_defined_symbols": ["(", ")", "£"]},
    ],
)
def test_deberta(options, trained_on, texts):
    place, own = trained_on("deberta-v2", **DEBERTA | options)
    assert_equal(place, texts, lambda text: [1, *own.encode(text), 2])


def test_deberta_in_lower_case(trained_on, texts):
    place, own = trained_on("deberta-v2", {"do_lower_case": True}, **DEBERTA)
    plain = [text for text in texts if "İ" not in text]  # two characters in lower case
    assert_equal(place, plain, lambda text: [1, *own.encode(text.lower()), 2])


def test_special_tokens_in_a_text(trained_on):
    place, own = trained_on("deberta-v2", **DEBERTA)
    size = own.get_piece_size()
    (found,) = ids_of(place, ["good [SEP]food [MASK] x"])
    parts = own.encode("good "), own.encode("food "), own.encode(" x")
    assert found == [1, *parts[0], 2, *parts[1], size, *parts[2], 2]


def albert_text(text: str, *, accents: bool = False) -> str:
    """What ALBERT's own tokenizer does before SentencePiece."""
    text = " ".join(text.split()).replace("``", '"').replace("''", '"')
    if not accents:
        text = "".join(
            char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char)
        )
    return text.lower()


@pytest.mark.parametrize("accents", [False, True])
def test_albert(accents, trained_on, texts):
    place, own = trained_on("albert", {"keep_accents": accents}, **ALBERT)
    first, last = own.piece_to_id("[CLS]"), own.piece_to_id("[SEP]")

    def expected(text: str) -> list[int]:
        return [first, *own.encode(albert_text(text, accents=accents)), last]

    # It takes "9," apart, which SentencePiece would not.
    plain = [text for text in texts if not re.search(r"\d,", unicodedata.normalize("NFKC", text))]
    assert_equal(place, plain, expected)
    tokenizer = load_tokenizer(place, read_encoder_config(place), max_length=99)
    cut = [tokenizer.core.id_to_token(one) for one in ids_of(place, ["9, 5,"])[0]]
    assert not any(re.search(r"\d,", piece) for piece in cut)


def test_camembert(trained_on, texts):
    place, own = trained_on("camembert")
    assert_equal(
        place, texts, lambda text: [5, *(one + 4 if one else 3 for one in own.encode(text)), 6]
    )
    tokenizer = load_tokenizer(place, read_encoder_config(place), max_length=99)
    assert tokenizer.pad_id == 1
    assert tokenizer.core.token_to_id("<mask>") == own.get_piece_size() + 4


def test_xlm_roberta(trained_on, texts):
    place, own = trained_on("xlm-roberta")
    assert_equal(
        place, texts, lambda text: [0, *(one + 1 if one else 3 for one in own.encode(text)), 2]
    )
    tokenizer = load_tokenizer(place, read_encoder_config(place), max_length=99)
    assert tokenizer.pad_id == 1
    assert tokenizer.core.token_to_id("<mask>") == own.get_piece_size() + 1


def test_the_class_decides_before_the_model_type(trained_on, texts):
    place, own = trained_on("xlm-roberta", {"tokenizer_class": "XLMRobertaTokenizerFast"})
    (place / "config.json").write_text(json.dumps({"model_type": "bert", **SIZES}))
    assert_equal(
        place, texts, lambda text: [0, *(one + 1 if one else 3 for one in own.encode(text)), 2]
    )


def test_a_layout_that_is_not_known(trained_on):
    place, _ = trained_on("xlm-roberta", {"tokenizer_class": "T5Tokenizer"})
    with pytest.raises(BackboneError, match="how 'T5Tokenizer' numbers its pieces") as caught:
        ids_of(place, ["good"])
    assert "DebertaV2Tokenizer" in caught.value.hint
    (place / "tokenizer_config.json").write_text("{}")
    (place / "config.json").write_text(json.dumps({"model_type": "roberta", **SIZES}))
    with pytest.raises(BackboneError, match="how a 'roberta' backbone numbers"):
        ids_of(place, ["good"])


def test_a_model_that_cuts_otherwise(trained_on):
    place, _ = trained_on("deberta-v2", model_type="char")
    with pytest.raises(BackboneError, match="it cuts texts by characters"):
        ids_of(place, ["good"])


def test_tokens_that_were_added_later(trained_on):
    place, own = trained_on("deberta-v2", **DEBERTA)
    size = own.get_piece_size()
    (place / "added_tokens.json").write_text(json.dumps({"[MASK]": size, "<ORDER>": size + 1}))
    assert ids_of(place, ["<ORDER>"]) == [[1, size + 1, 2]]
    (place / "added_tokens.json").write_text(json.dumps({"<ORDER>": size + 5}))
    with pytest.raises(BackboneError, match="'<ORDER>' was added to it as number"):
        ids_of(place, ["good"])


def test_a_backbone_trains_answers_and_merges(trained_on, reviews, tmp_path, capfd):
    place, own = trained_on("deberta-v2", **DEBERTA)
    whole = write_backbone(tmp_path / "deberta", "deberta-v2", vocab_size=own.get_piece_size() + 1)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (whole / name).unlink()
    (whole / "spm.model").write_bytes((place / "spm.model").read_bytes())
    lora_bert.train(reviews, backbone=str(whole), output=tmp_path / "a", epochs=1)
    assert capfd.readouterr().err.count("sentencepiece") == 0
    before = lora_bert.load(tmp_path / "a", dtype="float32").probabilities(ENGLISH)
    lora_bert.merge(tmp_path / "a", tmp_path / "m")
    after = lora_bert.load(tmp_path / "m", dtype="float32").probabilities(ENGLISH)
    assert abs(before - after).max() < 1e-5
    assert lora_bert.verify(whole).passed


def test_what_is_read_of_a_file(tmp_path):
    path = tmp_path / "spm.model"
    path.write_bytes(SMALL)
    model = read_sentencepiece(path, BackboneError)
    assert [(one.text, one.score, one.kind) for one in model.pieces] == [
        ("<unk>", 0.0, Kind.UNKNOWN),
        ("▁a", -1.5, Kind.NORMAL),
    ]
    assert model.algorithm == Algorithm.UNIGRAM
    assert (model.trims, model.adds_prefix, model.unknown) == (False, True, 0)


def test_a_small_one_is_converted(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "deberta-v2", **SIZES}))
    (tmp_path / "spm.model").write_bytes(USUAL)
    assert ids_of(tmp_path, ["good 很好 x[MASK]"]) == [[1, 6, 5, 7, 5, 3, 4, 2]]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no model at all",
        SMALL[:-1],
        SMALL + b"\xff" * 20,
        SMALL + piece("x" * 90) * 5 + piece("<unk>", kind=2),
        SMALL + piece("", -1.0),
        SMALL + piece("b", float("nan")),
        SMALL + piece("b", kind=9),
        SMALL + field(1, 5),
        SMALL + field(2, field(3, b"x")),
        field(3, field(2, b"\x05\x00\x00\x00ab")) + SMALL,
    ],
)
def test_damaged_files(content, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "deberta-v2", **SIZES}))
    (tmp_path / "spm.model").write_bytes(content)
    with pytest.raises(LoraBertError, match="is damaged"):
        ids_of(tmp_path, ["good"])
