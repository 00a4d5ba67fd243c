"""Encodings older than Unicode: told apart by what people write in them, or refused."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_bert.data.tables import ReadOptions, read_table
from lora_bert.errors import DataError
from tests.data.sentences import PAIRS, SENTENCES


def file_of(texts, labels="ab"):
    rows = (f'"{text}",{labels[at % len(labels)]}\n' for at, text in enumerate(texts))
    return "text,label\n" + "".join(rows)


def table_of(folder, data, encoding="auto"):
    path = Path(folder, "a.csv")
    path.write_bytes(data)
    return read_table(path, ReadOptions(encoding=encoding))


@pytest.mark.parametrize(("language", "codec"), PAIRS)
def test_reviews_of_every_language_come_back(tmp_path, caplog, language, codec):
    caplog.set_level(logging.INFO)
    texts = SENTENCES[language].split("|")
    table = table_of(tmp_path, file_of(texts).encode(codec))
    assert table.values["text"] == texts
    assert "is read as " in caplog.text


def write_and_read(texts, codec):
    """The texts that come back, or None where the file is refused."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return table_of(folder, file_of(texts).encode(codec)).values["text"]
        except DataError as error:
            assert "--encoding" in error.hint
            return None


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PAIRS), st.data())
def test_a_few_reviews_are_read_exactly_or_refused(pair, data):
    language, codec = pair
    texts = data.draw(
        st.lists(st.sampled_from(SENTENCES[language].split("|")), min_size=1, max_size=3)
    )
    assert write_and_read(texts, codec) in (texts, None)


words = {
    language: sorted(set(text.replace("|", " ").split())) for language, text in SENTENCES.items()
}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PAIRS), st.data())
def test_any_words_are_read_exactly_or_refused(pair, data):
    language, codec = pair
    some = st.lists(st.sampled_from(words[language] + words["de"][:5]), min_size=2, max_size=6)
    texts = [" ".join(data.draw(some)) for _ in range(2)]
    texts = [text.encode(codec, "ignore").decode(codec) for text in texts]
    assert write_and_read(texts, codec) in (texts, None)


@pytest.mark.parametrize("codec", ["iso8859-2", "cp1250"])
def test_a_sign_beside_a_letter_is_no_word(codec):
    texts = ["Bardzo Bardzo", "są Gemüse"]  # "s± Gemüse", if it were Turkish
    assert write_and_read(texts, codec) in (texts, None)


@pytest.mark.parametrize(
    "text",
    [
        "很好",
        "不错，推荐",
        "外卖",
        "味道一般",
        "这家店的老板姓㐂，名𠮷",  # two and four bytes
        "東西很好吃，服務親切",
        "日本料理のお店，味道很好",
        "“太差了”——再也不来了……",
        "ＡＢＣ套餐１号，很好吃",
    ],
)
def test_gb18030_stays_what_it_is(tmp_path, caplog, text):
    caplog.set_level(logging.INFO)
    assert table_of(tmp_path, file_of([text] * 3).encode("gb18030")).values["text"] == [text] * 3
    assert "is read as GB18030" in caplog.text


@pytest.mark.parametrize(
    ("text", "codec", "spoken"),
    [
        ("Free entry £5 each tonight´s", "latin-1", "latin-1 (ISO-8859-1)"),
        ("it’s fine, don’t worry", "cp1252", "Windows-1252"),
        ("“great” – she said…", "cp1252", "Windows-1252"),
        ("un café très serré, s'il vous plaît", "cp1252", "latin-1 (ISO-8859-1)"),
    ],
)
def test_western_encodings_are_named_as_what_they_are(tmp_path, caplog, text, codec, spoken):
    caplog.set_level(logging.INFO)
    assert table_of(tmp_path, file_of([text, "ok"]).encode(codec)).values["text"] == [text, "ok"]
    assert f"is read as {spoken}." in caplog.text


def test_characters_of_hong_kong(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    texts = ["呢間嘢好食，佢哋服務都唔錯", "等咗兩個鐘都未送到，嘥晒時間", "啲餸凍晒，冇得食"]
    assert table_of(tmp_path, file_of(texts).encode("big5hkscs")).values["text"] == texts
    assert "Big5-HKSCS" in caplog.text


@pytest.mark.parametrize("codec", ["cp1252", "cp1251", "cp949", "cp932", "cp950", "gb18030"])
def test_utf8_lines_among_others_stay_refused(tmp_path, codec):
    language = {"cp1252": "fr", "cp1251": "ru", "cp949": "ko", "cp932": "ja", "cp950": "zh-Hant"}
    texts = SENTENCES[language.get(codec, "zh")].split("|")
    old, new = file_of(texts).encode(codec), file_of(texts).encode().split(b"\n", 1)[1]
    with pytest.raises(DataError, match=r"mixes encodings: line \d+ is UTF-8, line \d+ is not"):
        table_of(tmp_path, old + new)


def test_one_accent_is_not_enough_and_the_sentence_shows_why(tmp_path):
    with pytest.raises(DataError) as caught:
        table_of(tmp_path, file_of(["Zoë was here", "plain"]).encode("latin-1"))
    assert "UTF-8 only up to byte 14 on line 2, and no other encoding is certain" in str(
        caught.value
    )
    assert "'Zoë' in latin-1" in str(caught.value)
    assert "--encoding latin-1" in caught.value.hint


def test_a_bad_byte_is_named_in_other_encodings_too(tmp_path):
    data = file_of(SENTENCES["ko"].split("|") * 30).encode("cp949")
    at = data.index(b"\n", 4000) + 1
    with pytest.raises(DataError, match=f"CP949 only up to byte {at:,} on line"):
        table_of(tmp_path, data[:at] + b"\xff" + data[at:])


def test_what_speaks_for_the_encoding_may_stand_far_behind(tmp_path):
    plain = [f"plain english row {i}" for i in range(20_000)]
    texts = [*plain, *SENTENCES["fr"].split("|"), *plain, "un œuf brouillé"]
    assert table_of(tmp_path, file_of(texts).encode("cp1252")).values["text"] == texts


def test_other_formats(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [f'{{"text": "{text}"}}' for text in SENTENCES["ja"].split("|")]
    path.write_bytes("\n".join(lines).encode("cp932"))
    assert read_table(path).values["text"] == SENTENCES["ja"].split("|")


def test_a_reading_gains_nothing_from_what_it_cannot_decode(tmp_path):
    # Korean cannot say the first text, but makes characters of the ten short ones.
    long = (
        "尼玛，十一点不到餐就送来了，你家10点多开午餐的？上次一单两点多还不到，说没把我的订单看漏了"
    )
    texts = [long * 4, "还行", "一般般", "好吃不错，有点辣", "没吸管！快递很好！", "换厨师了吗？"]
    texts += ["态度好", "口味差多了", "等了一个半小时", "有点坑人"]
    assert table_of(tmp_path, file_of(texts).encode("gb18030")).values["text"] == texts


@pytest.mark.parametrize(("last", "codec"), [("一／二英寸", "cp950"), ("冇嘢食", "big5hkscs")])
def test_what_tells_siblings_apart_may_stand_far_behind(tmp_path, last, codec):
    texts = [*SENTENCES["zh-Hant"].split("|") * 200, last]
    assert table_of(tmp_path, file_of(texts).encode(codec)).values["text"] == texts


def test_a_sign_that_hong_kong_reads_otherwise_is_said(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    texts = [*SENTENCES["zh-Hant"].split("|"), "史蒂夫‧賈伯斯"]
    assert table_of(tmp_path, file_of(texts).encode("cp950")).values["text"] == texts
    assert "a sign, which is read as '‧'; --encoding big5hkscs reads '•'" in caplog.text


def test_a_word_that_went_through_a_wrong_encoding_before_is_no_mixture(tmp_path):
    texts = [*SENTENCES["tr"].split("|") * 3, "saat 5Â°E"]
    assert table_of(tmp_path, file_of(texts).encode("cp1254")).values["text"] == texts


def test_syllables_that_euc_kr_spells_out(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    texts = [*SENTENCES["ko"].split("|"), "뷁 쌰앙"]
    for codec, spoken in (("euc_kr", "EUC-KR"), ("cp949", "CP949")):
        assert table_of(tmp_path, file_of(texts).encode(codec)).values["text"] == texts
        assert f"is read as {spoken}." in caplog.text
