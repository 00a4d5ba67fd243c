"""What the adapters of a session stand on: a backbone in memory, or the trunk of exported ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lora_bert.adapters.directory import check_scaling, check_written, graph_files, kind_of
from lora_bert.adapters.exported import ExportedTrunk
from lora_bert.adapters.peft_config import CONFIG, WEIGHTS
from lora_bert.adapters.trunk import GRAPHS, is_branch, is_trunk, read_trunk
from lora_bert.config import DirectoryConfig, LoadConfig, SessionConfig
from lora_bert.config.shared import Computing
from lora_bert.errors import AdapterError, ConfigError, LoraBertError, NotFoundError
from lora_bert.inference.adapter_pool import adapter_names
from lora_bert.inference.engines.branches import BranchEngine, GraphEngine
from lora_bert.inference.engines.choice import open_trunk
from lora_bert.inference.predictor import Predictor, open_predictor
from lora_bert.inference.samples import check_answers
from lora_bert.names import write_names

if TYPE_CHECKING:
    from lora_bert.adapters.open_backbone import OpenBackbone


class Base(Protocol):
    """What adapters stand on."""

    @property
    def name(self) -> str:
        """Of the backbone."""

    def load(self, place: Path, labels: Sequence[str]) -> Predictor:
        """The predictor of the adapter in a directory.

        ``labels`` are those of one that does not keep them.

        Raises:
            NotFoundError: No such directory.
            ConfigError: It is something else, or ``labels`` are given to one that has its own.
            AdapterError: Incomplete, damaged, or made for another base.
        """

    def verified(self, place: Path, labels: Sequence[str]) -> Predictor:
        """The same, after its files were checked and it has answered the texts that ship.

        Raises:
            AdapterError: Its weights are not those that were written, or its answers no numbers.
        """


def base_of(config: DirectoryConfig) -> Base:
    """What the adapters of a directory stand on; errors are those of ``Session.from_directory``."""
    place = Path(config.directory)
    names = adapter_names(place)
    if config.backbone is None and not names:
        raise NotFoundError(
            f"'{place}' holds no adapter, so it does not say on which backbone they are.",
            hint="Name the backbone, or put an adapter into the directory.",
        )
    on = config.backbone or _backbone_of(place, names)
    common = {each.name: getattr(config, each.name) for each in fields(Computing)}
    return open_base(SessionConfig(backbone=on, **common))


def open_base(config: SessionConfig) -> Base:
    """A backbone, or the trunk in a directory; errors are those of :class:`.Session`."""
    if is_trunk(config.backbone):
        place = Path(config.backbone)
        known = read_trunk(place)
        trunk = ExportedTrunk(place.resolve() / GRAPHS[known.format][0], known)
        engine = open_trunk(trunk, engine="auto", dtype=config.dtype, device=config.device)
        return _OnTrunk(place, known.backbone, engine, config)
    from lora_bert.adapters.open_backbone import open_backbone
    from lora_bert.runtime.device import pick_device, pick_dtype

    where = pick_device(config.device)
    precision = pick_dtype(config.dtype, where)
    opened = open_backbone(config.backbone, dtype=precision, device=where)
    return _OnBackbone(opened, config.batch_size)


def _backbone_of(directory: Path, names: Sequence[str]) -> str:
    """That of the first adapter that can be read; where none can, the error of the first.

    Exported ones have a trunk in its place.
    """
    if is_trunk(directory):
        return str(directory)
    from lora_bert.adapters.loading import backbone_files

    errors = []
    for name in names:
        try:
            return str(backbone_files(directory / name).path)
        except LoraBertError as error:
            errors.append(error)
    raise errors[0]


def _verified(on: _OnBackbone | _OnTrunk, place: Path, labels: Sequence[str]) -> Predictor:
    from lora_bert.inference.verify import check_files

    files = on.files(place)
    check_files(place, files)
    predictor = on.load(place, labels)
    check_written(place, predictor.manifest.files, files)
    check_scaling(place, predictor.manifest.scaling)
    check_answers(predictor)
    return predictor


@dataclass(frozen=True)
class _OnBackbone:
    opened: OpenBackbone
    batch_size: int

    @property
    def name(self) -> str:
        return self.opened.source.files.name

    def load(self, place: Path, labels: Sequence[str]) -> Predictor:
        from lora_bert.adapters.loading import load_adapter

        loaded = load_adapter(place, self.opened, labels=labels)
        return Predictor.of(loaded, place, self.batch_size)

    def verified(self, place: Path, labels: Sequence[str]) -> Predictor:
        return _verified(self, place, labels)

    def files(self, place: Path) -> tuple[str, ...]:
        return (CONFIG, WEIGHTS)


@dataclass(frozen=True)
class _OnTrunk:
    place: Path
    name: str
    trunk: GraphEngine
    config: SessionConfig

    def load(self, place: Path, labels: Sequence[str]) -> Predictor:
        config = LoadConfig(
            dtype=self.config.dtype, device=self.config.device, batch_size=self.config.batch_size,
            labels=write_names(labels) if labels else None,
        )  # fmt: skip
        predictor = open_predictor(place, config)
        engine = predictor.engine
        if isinstance(engine, BranchEngine) and engine.trunk is self.trunk:
            return predictor
        if is_branch(place) and place.resolve().parent == self.place.resolve():
            raise AdapterError(
                f"The trunk in '{self.place}' was replaced while it was in use.",
                hint="Open the session again.",
            )
        raise ConfigError(f"'{place}' is no branch on the trunk in '{self.place}'.")

    def verified(self, place: Path, labels: Sequence[str]) -> Predictor:
        return _verified(self, place, labels)

    def files(self, place: Path) -> tuple[str, ...]:
        return graph_files(place, kind_of(place))
