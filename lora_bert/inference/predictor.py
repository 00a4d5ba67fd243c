"""Answers: texts -> predictions, from an adapter on its backbone, a merged or an exported model."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Unpack

import numpy as np

from lora_bert.adapters.directory import EXPORTED, kind_of
from lora_bert.adapters.exported import read_exported
from lora_bert.adapters.manifest import Manifest
from lora_bert.config import LoadConfig
from lora_bert.config.keywords import DecodingOptions, LoadOptions
from lora_bert.config.kinds import StrPath
from lora_bert.config.shared import Answering, Decoding
from lora_bert.data.columns import TEXT_NAMES
from lora_bert.data.texts import Text, TextPairs, are_pairs
from lora_bert.errors import InputTypeError
from lora_bert.inference.engines.choice import check_fits, open_engine
from lora_bert.inference.engines.engine import TEXTS_AT_ONCE, Engine, answer, answers
from lora_bert.inference.read_texts import ReadTexts, TextCounts, telling, told_of_texts
from lora_bert.names import parse_names
from lora_bert.options import build
from lora_bert.python_face import called_from_python, stays_here
from lora_bert.tasks.base import Task
from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.tokens.tokenizer import TextTokenizer
from lora_bert.wording import counted

if TYPE_CHECKING:
    from lora_bert.adapters.loading import Loaded


@dataclass(frozen=True)
class Predictor:
    """A loaded classifier.

    Attributes:
        engine: What computes.
        tokenizer: Its own, cleaning included.
        manifest: What it says of itself.
        places: The directories that were read.
        batch_size: Texts computed at once.
        read: How many texts it has answered, but in streams, and how many of them were too long.
    """

    engine: Engine
    tokenizer: TextTokenizer
    manifest: Manifest
    places: tuple[Path, ...] = ()
    batch_size: int = 32
    read: TextCounts = field(default_factory=ReadTexts, compare=False)

    @classmethod
    def of(cls, loaded: Loaded, path: Path, batch_size: int = 32) -> Predictor:
        """The predictor of what torch has loaded from ``path``."""
        from lora_bert.inference.engines.torch_engine import TorchEngine

        engine = TorchEngine(loaded.backbone, loaded.adapter)
        places = (path, loaded.files.path)
        return cls(engine, loaded.tokenizer, loaded.manifest, places, batch_size)

    def __repr__(self) -> str:
        place = f"{str(self.places[0])!r}: " if self.places else ""
        on = f" on {base}" if (base := self.manifest.backbone_name) else ""
        return f"Predictor({place}{counted(len(self.labels), 'label')}{on}, {self.engine})"

    def __reduce__(self) -> NoReturn:
        raise stays_here("Predictor")

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the scores."""
        return self.manifest.labels

    @cached_property
    def task(self) -> Task:
        """What it was trained to say of a text."""
        return self.manifest.restored_task(self.places[0] if self.places else "this model")

    @called_from_python(Decoding, DecodingOptions)
    def predict(self, texts: Sequence[Text], **options: Unpack[DecodingOptions]) -> list[Any]:
        """One prediction per text, or per pair, in order; an empty list for no texts.

        A classifier's are of the class :class:`lora_bert.Prediction`, a tagger's of the class
        :class:`lora_bert.Tagged`; answers to questions are of :class:`lora_bert.Answer`.

        Args:
            texts: Any number of texts, or of pairs ``(first, second)`` where the adapter was
                trained on pairs; longer ones than the adapter's maximum length are cut, which a
                warning counts, or read in windows, as it was trained. Pairs ``(question, context)``
                where it finds answers; of a context nothing is cut.
            **options: What is answered, where it is not to be what the adapter answers by itself.

        Raises:
            InputTypeError: It is one text, or something else than texts, or texts where pairs are
                needed, or pairs where texts are.
            ConfigError: An option that is unknown, makes no sense, or is for another task.
        """
        task = self.task.told(build(Decoding, options))
        return task.decode(self.values(texts))

    @called_from_python(Decoding)
    def values(self, texts: Sequence[Text]) -> np.ndarray:
        """What predictions are made of, ``[texts, labels]``, float32.

        Of a classifier they are probabilities: rows add up to 1.
        """
        with told_of_texts({"": self}):
            return self.computed(texts)

    def computed(self, texts: Sequence[Text]) -> np.ndarray:
        """As :meth:`values`; nothing is said of texts that are cut or empty."""
        texts = self.listed(texts)
        if len(texts) <= TEXTS_AT_ONCE:
            return self.values_of(self.tokenizer.encode(texts))
        starts = range(0, len(texts), TEXTS_AT_ONCE)
        parts = (texts[start : start + TEXTS_AT_ONCE] for start in starts)
        # How many windows they make is not known yet.
        total = None if self.tokenizer.stride else len(texts)
        return np.concatenate(list(self.computed_parts(parts, total)))

    def values_of(self, tokens: TokenizedTexts) -> np.ndarray:
        """The same of texts that the predictor's tokenizer has encoded."""
        return self.row_values(answer(self.engine, tokens, self.batch_size), tokens)

    def row_values(self, outputs: np.ndarray, tokens: TokenizedTexts) -> np.ndarray:
        """The same of what the engine has computed of such texts."""
        special = self.tokenizer.special_tokens(pair=self.manifest.inputs > 1)
        self.read.add(tokens, special)
        return self.task.row_values(outputs, tokens)

    probabilities = values
    """The same by the name that a classifier's have."""

    def stream(
        self, parts: Iterable[Sequence[Text]], total: int | None = None
    ) -> Iterator[np.ndarray]:
        """:meth:`values` of each part, in order; the next is read while one is computed.

        Parts are lists of texts or of pairs; ``total`` is their number in all, if that is known.
        At the end, or where it is not asked on, one warning counts the texts that were cut.
        """
        alone = replace(self, read=TextCounts())  # whoever asks on may be another thread
        return telling(alone.computed_parts(parts, total), alone)

    def computed_parts(
        self, parts: Iterable[Sequence[Text]], total: int | None = None
    ) -> Iterator[np.ndarray]:
        """As :meth:`stream`; nothing is said of texts that are cut or empty."""
        if isinstance(parts, str):
            raise InputTypeError("Lists of texts are needed, and this is one text.")
        _refuse(parts)
        waiting: deque[TokenizedTexts] = deque()

        def encoded() -> Iterator[TokenizedTexts]:
            for part in parts:
                waiting.append(self.tokenizer.encode(self.listed(part)))
                yield waiting[-1]

        outputs = answers(self.engine, encoded(), self.batch_size, total)
        return (self.row_values(each, waiting.popleft()) for each in outputs)

    def listed(self, texts: Iterable[Text], numbers: Sequence[int] | None = None) -> Sequence[Text]:
        """Texts or pairs as a list; a list of them is not copied.

        ``numbers`` are the places of the texts among others, for the error.

        Raises:
            InputTypeError: They are not what the predictor is asked.
        """
        inputs = self.manifest.inputs
        listed = list_of_texts(texts, pairs=inputs == 2)
        if isinstance(listed, TextPairs) and inputs != 1:
            return listed
        for at, text in enumerate(listed):
            # Where nobody has said what is asked, the first text does.
            wanted = inputs or (1 if isinstance(listed[0], str) else 2)
            if _parts(text) != wanted:
                place = at if numbers is None else numbers[at]
                raise _unfit(text, place, wanted, trained=bool(inputs))
        return [(pair[0], pair[1]) for pair in listed] if are_pairs(listed) else listed


@called_from_python(LoadConfig, LoadOptions)
def load(path: StrPath, **options: Unpack[LoadOptions]) -> Predictor:
    """Load an adapter (with its backbone), a merged model or an exported one.

    Adapters on the same backbone, in the same precision and place, share it in memory.

    Args:
        path: Its directory.
        **options: ``backbone``: where the adapter's backbone is, if it is not found by its name;
            ``labels``: the labels of an adapter that plain PEFT wrote, in the order of its outputs;
            ``allow_backbone_mismatch``: take a backbone with another fingerprint than the
            adapter's; ``device``: ``auto``, ``cpu`` or ``cuda``; ``dtype``: ``float32``,
            ``bfloat16``, ``int8`` or ``auto``: bfloat16 where it is fast; ``batch_size``: texts at
            once; ``engine``: ``torch``, ``openvino``, ``onnx`` or ``auto``: what the directory is
            made for.

    Raises:
        ConfigError: An option that is unknown, or an engine, device, precision or batch size that
            makes no sense here.
        NotFoundError: No such directory, or the backbone is not to be found.
        UnavailableError: The engine is not installed.
        AdapterError: Incomplete, damaged, or made for another backbone.

    Example:
        >>> load("adapters/waimai").predict(["很好吃"])[0].label  # doctest: +SKIP
        'positive'
    """
    config = build(LoadConfig, {"path": path, **options})
    return open_predictor(config.path, config)


def open_predictor(path: StrPath, config: Answering | None = None) -> Predictor:
    """As :func:`load`, of options that are checked."""
    config = config or Answering()
    place, labels = Path(path), parse_names(config.labels)
    kind = kind_of(place)
    check_fits(config.engine, kind, place)
    if kind in EXPORTED:
        model = read_exported(place, backbone=config.backbone, labels=labels)
        engine = open_engine(model, engine=config.engine, dtype=config.dtype, device=config.device)
        return Predictor(engine, model.tokenizer, model.manifest, (place,), config.batch_size)
    from lora_bert.adapters.loading import load_any
    from lora_bert.runtime.device import pick_device, pick_dtype

    where = pick_device(config.device)
    loaded = load_any(
        place, backbone=config.backbone, labels=labels,
        device=where, dtype=pick_dtype(config.dtype, where),
        allow_backbone_mismatch=config.allow_backbone_mismatch,
    )  # fmt: skip
    return Predictor.of(loaded, place, config.batch_size)


def list_of_texts(texts: Iterable[Text], *, pairs: bool = False) -> Sequence[Text]:
    """Texts, or ``pairs``, as a sequence; a list of them is not copied.

    Raises:
        InputTypeError: It is one text, or something else than texts.
    """
    if isinstance(texts, str):
        raise InputTypeError(
            f"A list of {'pairs of texts' if pairs else 'texts'} is needed, and this is one text.",
            hint="For one pair, pass [(first, second)]." if pairs else "For one text, pass [text].",
        )
    _refuse(texts)
    return texts if isinstance(texts, (list, tuple, TextPairs)) else list(texts)


def _parts(text: object) -> int:
    """1 of a text, 2 of a pair of texts, 0 of anything else."""
    if isinstance(text, str):
        return 1
    is_pair = isinstance(text, (tuple, list)) and len(text) == 2
    return 2 if is_pair and all(isinstance(part, str) for part in text) else 0  # type: ignore[attr-defined]


def _unfit(text: object, at: int, wanted: int, *, trained: bool) -> InputTypeError:
    """The error for what is no text where one is wanted, or no pair where that is."""
    what = "pairs of texts" if wanted == 2 else "texts"
    said = {1: "one text", 2: "a pair"}.get(_parts(text), f"of type {type(text).__name__}")
    if isinstance(text, (tuple, list)) and not _parts(text):
        said = f"a {type(text).__name__} of {len(text):,}"
    hint = ""
    if _parts(text) and not trained:
        hint = "Ask texts alone, or pairs alone."
    elif _parts(text):
        trained_on = "pairs: ask (first, second)" if wanted == 2 else "single texts"
        hint = f"The adapter was trained on {trained_on}."
    return InputTypeError(f"A list of {what} is needed; number {at} is {said}.", hint=hint)


def _refuse(texts: object) -> None:
    if isinstance(texts, (bytes, Mapping)) or not isinstance(texts, Iterable):
        raise InputTypeError(f"A list of texts is needed, not {type(texts).__name__}.")
    # A table goes through its columns' names.
    if (columns := getattr(texts, "columns", None)) is not None:
        names = [str(name) for name in columns]
        text = next((name for name in TEXT_NAMES if name in names), "text")
        raise InputTypeError(
            f"A list of texts is needed, not {type(texts).__name__}.",
            hint=f"Its column of texts is meant: table[{text!r}].",
        )
