"""One backbone in memory, any number of adapters on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, Self, Unpack, overload

import numpy as np

from lora_bert.backbones.embedded import EMBEDDED
from lora_bert.config import DirectoryConfig, LoadConfig, SessionConfig
from lora_bert.config.keywords import DecodingOptions
from lora_bert.config.kinds import Names, StrPath
from lora_bert.config.shared import Decoding
from lora_bert.data.texts import Text
from lora_bert.errors import (
    ConfigError,
    InputTypeError,
    did_you_mean,
)
from lora_bert.inference.adapter_pool import AdapterPool, adapter_names, called, checked
from lora_bert.inference.bases import Base, base_of, open_base
from lora_bert.inference.many_adapters import Request, tasks_of
from lora_bert.inference.predictor import Predictor, list_of_texts
from lora_bert.inference.read_texts import told_of_texts
from lora_bert.names import parse_names
from lora_bert.options import build
from lora_bert.python_face import called_from_python, stays_here
from lora_bert.wording import counted


class Session:
    """Answers with many adapters, which share one backbone in memory.

    Threads may add, remove and ask at the same time; an answer that is under way is finished by the
    adapter that began it. There is nothing to close: memory is given back with the session.

    Args:
        backbone: ``e5-small-zh-en`` (embedded), a local directory, or a hub id; or the directory of
            several adapters that were exported together, whose trunk takes its place.
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
        self._begin(open_base(config), config.batch_size)

    def _begin(self, base: Base, batch_size: int) -> None:
        self._base, self._batch_size = base, batch_size
        self._pool = AdapterPool(self._loaded)

    @classmethod
    @called_from_python(DirectoryConfig)
    def from_directory(
        cls,
        directory: StrPath,
        *,
        backbone: StrPath | None = None,
        memory: float | None = None,
        pinned: Names | None = None,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int = 32,
    ) -> Self:
        """A session with the adapters of a directory, each of which is loaded when it is asked.

        The directory is the truth: an adapter that is put there can be asked, one whose files have
        changed is read anew, one that is gone is unknown. Answers under way are finished by the
        adapter that began them. Put an adapter in its place whole, by renaming its directory.

        Args:
            directory: Has a directory for each adapter, which is called as that; be they exported
                together, too.
            backbone: As :class:`Session` has it (default: what the first adapter that can be read
                needs).
            memory: Gigabytes that the adapters may take (default: any number); beyond it, those
                that were asked longest ago are let go, and loaded again when they are asked.
            pinned: Names of adapters that stay in memory once they are loaded.
            device: As :class:`Session` has it, and so are ``dtype`` and ``batch_size``.
            dtype: See there.
            batch_size: See there.

        Raises:
            NotFoundError: No such directory, no adapter in it, or the backbone is not to be found.
            ConfigError: No adapter is called as one of ``pinned``; else as :class:`Session`.
        """
        values = {
            "directory": directory, "backbone": backbone, "memory": memory, "pinned": pinned,
            "device": device, "dtype": dtype, "batch_size": batch_size,
        }  # fmt: skip
        config = build(DirectoryConfig, values)
        return cls.on(base_of(config), config)

    @classmethod
    def on(cls, base: Base, config: DirectoryConfig) -> Self:
        """The same of options that are checked, on what the adapters stand on."""
        place, session = Path(config.directory), cls.__new__(cls)
        session._begin(base, config.batch_size)
        limit = None if config.memory is None else config.memory * 1e9
        session._pool = AdapterPool(session._loaded, place, limit)
        names = adapter_names(place)
        for name in parse_names(config.pinned):
            if name not in names:
                hint = did_you_mean(name, names)
                raise ConfigError(
                    f"--pinned: there is no adapter '{name}' in '{place}'.", hint=hint
                )
            session.pin(name)
        return session

    def __repr__(self) -> str:
        return f"Session({self.backbone!r}: {', '.join(self.names) or 'no adapter'})"

    def __reduce__(self) -> NoReturn:
        raise stays_here("Session")

    @property
    def backbone(self) -> str:
        """The name of the backbone."""
        return self._base.name

    @property
    def names(self) -> tuple[str, ...]:
        """The adapters' names: in the order in which they were added, then the directory's."""
        return self._pool.names

    @property
    def loaded(self) -> tuple[str, ...]:
        """The names of those in memory; those of the directory that were asked last stand last."""
        return self._pool.loaded

    @called_from_python(LoadConfig)
    def add(
        self,
        path: StrPath,
        name: str | None = None,
        *,
        labels: Names | None = None,
        replace: bool = False,
        verify: bool = False,
    ) -> str:
        """Load an adapter, which stays until it is removed.

        Args:
            path: Its directory.
            name: What it is called here (default: as its directory is).
            labels: The labels of an adapter that plain PEFT wrote, in the order of its outputs.
            replace: Take the place of an adapter of this name; answers that are under way are
                finished by that one.
            verify: Check its files first, that its weights and their scaling are those that were
                written, and have it answer the texts that ship.

        Returns:
            Its name.

        Raises:
            NotFoundError: No such directory.
            AdapterError: Incomplete, damaged, or made for another backbone.
            ConfigError: There is an adapter of this name, the name is empty or no string, it is no
                adapter, or ``labels`` are given to one that has its own.
        """
        config = build(LoadConfig, {"path": path, "labels": labels})
        place = Path(config.path)
        name = called(place) if name is None else checked(name)
        if not replace:
            self._pool.check_free(name)
        load = self._base.verified if verify else self._base.load
        predictor = load(place, parse_names(config.labels))
        self._pool.add(name, predictor, replace=replace)
        return name

    def remove(self, name: str) -> None:
        """Forget an adapter; its answers that are under way are finished.

        What stands in the session's directory stays there, and is unknown to this session until
        other files take its place.

        Raises:
            ConfigError: There is none of this name.
        """
        self._pool.remove(name)

    def pin(self, name: str, *, pinned: bool = True) -> None:
        """Keep an adapter of the directory in memory once it is loaded; or no longer.

        Raises:
            ConfigError: There is none of this name.
        """
        self._pool.pin(name, pinned=pinned)

    def predictor(self, adapter: str) -> Predictor:
        """The :class:`Predictor` of an adapter, with its labels and ``stream``.

        Raises:
            ConfigError: There is none of this name.
            AdapterError: It has to be loaded first, and is incomplete, damaged, or made for another
                backbone.
        """
        return self._pool.get(adapter)

    @overload
    def predict(
        self,
        texts: Sequence[Text],
        *,
        adapter: str | Sequence[str],
        **options: Unpack[DecodingOptions],
    ) -> list[Any]: ...
    @overload
    def predict(
        self, texts: Sequence[Text], *, adapters: Sequence[str], **options: Unpack[DecodingOptions]
    ) -> dict[str, list[Any]]: ...
    @called_from_python(Decoding, DecodingOptions)
    def predict(
        self,
        texts: Sequence[Text],
        *,
        adapter: str | Sequence[str] | None = None,
        adapters: Sequence[str] | None = None,
        **options: Unpack[DecodingOptions],
    ) -> list[Any] | dict[str, list[Any]]:
        """One prediction per text, in order.

        Args:
            texts: As those of :meth:`Predictor.predict`.
            adapter: The name of the adapter that answers; or a list of names, one for each text.
                Texts of different adapters are computed together.
            adapters: Names of adapters that answer every text; what they have in common is computed
                once. The predictions come in a dict, a list for each name.
            **options: As those of :meth:`Predictor.predict`.

        Raises:
            ConfigError: There is no such adapter, ``adapters`` is empty, or there are not as many
                names as texts; else as :meth:`Predictor.predict`.
            InputTypeError: It is one text, or something else than texts; or a text is not what its
                adapter is asked.
        """
        if isinstance(adapter, str) and adapters is None:
            return self.predictor(adapter).predict(texts, **options)
        request = self._request(texts, adapter, adapters)
        tasks = tasks_of(request.predictors, build(Decoding, options)).values()
        with told_of_texts(request.predictors):
            values = request.values(self._batch_size)
        return request.arranged(
            [task.decode(each) for task, each in zip(tasks, values, strict=True)]
        )

    @overload
    def values(self, texts: Sequence[Text], *, adapter: str) -> np.ndarray: ...
    @overload
    def values(
        self, texts: Sequence[Text], *, adapter: list[str] | tuple[str, ...]
    ) -> list[np.ndarray]: ...
    @overload
    def values(
        self, texts: Sequence[Text], *, adapters: Sequence[str]
    ) -> dict[str, np.ndarray]: ...
    @called_from_python(Decoding)
    def values(
        self,
        texts: Sequence[Text],
        *,
        adapter: str | Sequence[str] | None = None,
        adapters: Sequence[str] | None = None,
    ) -> np.ndarray | list[np.ndarray] | dict[str, np.ndarray]:
        """:meth:`Predictor.values` of one adapter: float32 ``[texts, labels]``.

        Of a list of names, one for each text: a list of arrays ``[labels]``; of ``adapters``, which
        answer every text: a dict of arrays ``[texts, labels]``.

        Raises:
            ConfigError, InputTypeError: As :meth:`predict`.
        """
        if isinstance(adapter, str) and adapters is None:
            return self.predictor(adapter).values(texts)
        request = self._request(texts, adapter, adapters)
        with told_of_texts(request.predictors):
            return request.arranged(request.values(self._batch_size))

    probabilities = values
    """The same by the name that a classifier's have."""

    def _request(
        self, texts: Sequence[Text], adapter: Any, adapters: Sequence[str] | None
    ) -> Request:
        """Texts for many adapters as they are now, whatever becomes of these."""
        names = adapter if adapters is None else adapters
        if (adapter is None) == (adapters is None):
            raise ConfigError("Either adapter or adapters says who answers.")
        names, listed = _list_of_names(names), list_of_texts(texts)
        if adapters is None and len(names) != len(listed):
            raise ConfigError(
                f"{counted(len(listed), 'text')} and {counted(len(names), 'name')} of adapters.",
                hint="adapter is one name for all texts, or as many names as there are texts.",
            )
        if adapters is not None and not names:
            raise ConfigError("adapters is empty, so nobody answers.", hint="Name one or more.")
        predictors = {name: self.predictor(name) for name in dict.fromkeys(names)}
        return Request(listed, predictors, names if adapters is None else None)

    def _loaded(self, place: Path) -> Predictor:
        return self._base.load(place, ())


def _list_of_names(names: Any) -> list[str]:
    if isinstance(names, Iterable) and not isinstance(names, str):
        listed = list(names)
        if all(isinstance(name, str) for name in listed):
            return listed
    raise InputTypeError("The names of adapters are needed as a list of strings.")
