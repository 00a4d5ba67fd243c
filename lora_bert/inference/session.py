"""One backbone in memory, any number of adapters on it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lora_bert.adapters.loading import load_adapter
from lora_bert.adapters.open_backbone import open_backbone
from lora_bert.backbones.embedded import EMBEDDED
from lora_bert.config import LoadConfig, SessionConfig
from lora_bert.config.kinds import Names, StrPath
from lora_bert.data.texts import Text
from lora_bert.errors import ConfigError, did_you_mean
from lora_bert.inference.predictor import Predictor
from lora_bert.names import parse_names
from lora_bert.options import build
from lora_bert.python_face import called_from_python
from lora_bert.runtime.device import pick_device, pick_dtype


class Session:
    """Answers with many adapters, which share one backbone in memory.

    Threads may add, remove and ask at the same time; an answer that is under way is finished by the
    adapter that began it. There is nothing to close: memory is given back with the session.

    Args:
        backbone: ``e5-small-zh-en`` (embedded), a local directory, or a hub id.
        device: ``auto``, ``cpu`` or ``cuda``.
        dtype: ``float32``, ``bfloat16``, ``int8`` or ``auto``: bfloat16 where it is fast.
        batch_size: Texts computed at once.

    Raises:
        ConfigError: A device, precision or batch size that makes no sense here.
        NotFoundError: The backbone is not to be found.
        UnavailableError: It is not in the hub's cache and the hub cannot be reached, or there is no
            such device.
        BackboneError: It is incomplete, damaged, or of an unknown family.

    Example:
        >>> session = Session("e5-small-zh-en")  # doctest: +SKIP
        >>> session.add("adapters/waimai")  # doctest: +SKIP
        'waimai'
        >>> session.predict(["很好吃"], adapter="waimai")[0].label  # doctest: +SKIP
        'positive'
    """

    @called_from_python(SessionConfig)
    def __init__(
        self,
        backbone: StrPath = EMBEDDED[0],
        *,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int = 32,
    ) -> None:
        values = {"backbone": backbone, "device": device, "dtype": dtype, "batch_size": batch_size}
        config = build(SessionConfig, values)
        where = pick_device(config.device)
        precision = pick_dtype(config.dtype, where)
        self._backbone = open_backbone(config.backbone, dtype=precision, device=where)
        self._batch_size = config.batch_size
        self._predictors: dict[str, Predictor] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        name = self._backbone.source.files.name
        return f"Session({name!r}: {', '.join(self.names) or 'no adapter'})"

    @property
    def names(self) -> tuple[str, ...]:
        """The adapters' names, in the order in which they were added."""
        with self._lock:
            return tuple(self._predictors)

    @called_from_python(LoadConfig)
    def add(self, path: StrPath, name: str | None = None, *, labels: Names | None = None) -> str:
        """Load an adapter.

        Args:
            path: Its directory.
            name: What it is called here (default: as its directory is).
            labels: The labels of an adapter that plain PEFT wrote, in the order of its outputs.

        Returns:
            Its name.

        Raises:
            NotFoundError: No such directory.
            AdapterError: Incomplete, damaged, or made for another backbone.
            ConfigError: There is an adapter of this name, it is no adapter, or ``labels`` are given
                to one that has its own.
        """
        config = build(LoadConfig, {"path": path, "labels": labels})
        place = Path(config.path)
        name = name or place.resolve().name
        with self._lock:
            self._check_free(name)
        loaded = load_adapter(place, self._backbone, labels=parse_names(config.labels))
        predictor = Predictor.of(loaded, place, self._batch_size)
        with self._lock:
            self._check_free(name)
            self._predictors[name] = predictor
        return name

    def remove(self, name: str) -> None:
        """Forget an adapter; its answers that are under way are finished.

        Raises:
            ConfigError: There is none of this name.
        """
        with self._lock:
            self._known(name)
            del self._predictors[name]

    def predictor(self, adapter: str) -> Predictor:
        """The :class:`Predictor` of an adapter, with its labels and ``stream``.

        Raises:
            ConfigError: There is none of this name.
        """
        with self._lock:
            return self._known(adapter)

    def predict(
        self,
        texts: Sequence[Text],
        *,
        adapter: str,
        min_score: float | None = None,
        otherwise: str | None = None,
        aggregation: str | None = None,
    ) -> list[Any]:
        """One prediction per text, in order, by the adapter of that name.

        Texts and options are those of :meth:`Predictor.predict`.

        Raises:
            ConfigError: There is none; else as :meth:`Predictor.predict`.
            InputTypeError: It is one text, or something else than texts.
        """
        return self.predictor(adapter).predict(
            texts, min_score=min_score, otherwise=otherwise, aggregation=aggregation
        )

    def values(self, texts: Sequence[Text], *, adapter: str) -> np.ndarray:
        """:meth:`Predictor.values` of the adapter of this name: ``[texts, labels]``, float32."""
        return self.predictor(adapter).values(texts)

    probabilities = values
    """The same by the name that a classifier's have."""

    def _known(self, name: str) -> Predictor:
        if name not in self._predictors:
            hint = did_you_mean(name, self._predictors)
            raise ConfigError(f"The session has no adapter '{name}'.", hint=hint)
        return self._predictors[name]

    def _check_free(self, name: str) -> None:
        if name in self._predictors:
            raise ConfigError(
                f"The session has an adapter '{name}' already.",
                hint="Give this one another name, or remove that one first.",
            )
