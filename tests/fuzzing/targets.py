"""Readers, each given something broken; the only errors they may raise are ours."""

from __future__ import annotations

import json
import random
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from lora_bert.adapters.describe import describe
from lora_bert.adapters.directory import backbone_name, kind_of, manifest_of
from lora_bert.adapters.loading import load_any
from lora_bert.adapters.manifest import read_manifest
from lora_bert.adapters.peft_config import read_peft_config
from lora_bert.adapters.peft_format import assemble, read_peft
from lora_bert.backbones.families.registry import encoder_config, read_encoder_config
from lora_bert.backbones.resolve import find_backbone
from lora_bert.backbones.weights import read_checkpoint
from lora_bert.config import TrainConfig
from lora_bert.data.examples import examples_from
from lora_bert.data.rows import ReadOptions
from lora_bert.data.tables import read_table
from lora_bert.errors import AdapterError, LoraBertError
from lora_bert.model.backbone import Backbone
from lora_bert.model.builder import build_backbone
from lora_bert.options import build, read_yaml
from lora_bert.tokens.tokenizer import load_tokenizer
from tests.fuzzing import mutate
from tests.pieces import SMALL, USUAL, field
from tests.tiny import FAMILIES, SIZES, tiny_classifier
from tests.workbooks import DATE, write_workbook

Target = Callable[[random.Random], None]
LIKELY = {
    "manifest": 8, "settings": 6, "weights": 8, "checkpoint": 4, "config": 6, "options": 5,
    "tokenizer": 1, "pieces": 3, "modules": 3, "delimited": 5, "jsonl": 4, "json": 6,
    "fasttext": 3, "parquet": 3, "packed": 3, "workbook": 2, "texts": 1,
    "adapter": 1, "model": 1,
}  # fmt: skip
"""How often each is chosen: the fast ones more."""


WORKBOOK = {
    "Rows": [["text", "label", "when", "ok"], ["good", 1, (DATE, 45000), True], [], ["bad", 0]],
    "Other": [["x"]],
}
MUTABLE = (".json", ".safetensors")


@dataclass
class Targets:
    """The readers, and what is valid to begin with.

    Attributes:
        adapter: A directory with a trained adapter.
        merged: The same, merged.
        backbone: Of it.
        place: A directory to write into.
    """

    adapter: Path
    merged: Path
    backbone: Path
    place: Path

    def __post_init__(self) -> None:
        self.valid = {path.name: path.read_bytes() for path in self.adapter.iterdir()}
        self.base_files = {path.name: path.read_bytes() for path in self.backbone.iterdir()}
        config = read_encoder_config(self.backbone)
        self.base: Backbone = build_backbone(read_checkpoint(self.backbone, config), config)
        self.values = {
            name: json.loads(content)
            for name, content in (
                self.valid | {"config.json": self.base_files["config.json"]}
            ).items()
            if name.endswith(".json")
        }
        self.work = self.place / "adapter"
        shutil.copytree(self.adapter, self.work)
        self.model = self.place / "model"
        shutil.copytree(self.backbone, self.model)
        self.alone = self.place / "alone"
        shutil.copytree(self.merged, self.alone)
        self.spm, self.sbert = self.place / "spm", self.place / "sbert"
        self.spm.mkdir()
        shutil.copytree(self.backbone, self.sbert / "0_Transformer")
        with zipfile.ZipFile(write_workbook(self.place / "valid.xlsx", WORKBOOK)) as archive:
            self.workbook = {name: archive.read(name) for name in archive.namelist()}
        self.configs = [self.values["config.json"], *map(_config_of, FAMILIES)]

    @property
    def all(self) -> Mapping[str, Target]:
        """By name."""
        return {name: getattr(self, f"_{name}") for name in LIKELY}

    def one(self, seed: int) -> str:
        """Try one input: a function of the seed. Which reader it was for.

        Raises:
            Exception: A finding: anything but a :class:`LoraBertError`.
        """
        chance = random.Random(seed)
        name = chance.choices(list(LIKELY), list(LIKELY.values()))[0]
        self.run(name, chance)
        return name

    def run(self, name: str, chance: random.Random) -> None:
        """Try one input on the reader of that name."""
        try:
            self.all[name](chance)
        except LoraBertError as error:
            assert str(error).endswith("."), error

    def _with(self, directory: Path, name: str, content: bytes, look: Callable[[], object]) -> None:
        path = directory / name
        was = path.read_bytes() if path.exists() else None
        path.write_bytes(content)
        try:
            look()
        finally:
            if was is None:
                path.unlink()
            else:
                path.write_bytes(was)

    def _manifest(self, chance: random.Random) -> None:
        content = mutate.as_json(chance, self.values["lora_bert.json"])
        look = chance.choice((
            lambda: read_manifest(self.work / "lora_bert.json").to_json(),
            lambda: manifest_of(self.work),
            lambda: json.dumps(describe(self.work)),
        ))  # fmt: skip
        self._with(self.work, "lora_bert.json", content, look)

    def _settings(self, chance: random.Random) -> None:
        value = self.values["adapter_config.json"]
        value |= chance.choice(({}, {"rank_pattern": {"query": 8}, "alpha_pattern": {"query": 9}}))
        content = mutate.as_json(chance, value)
        self._with(self.work, "adapter_config.json", content, self._assembled)

    def _weights(self, chance: random.Random) -> None:
        content = mutate.as_safetensors(chance, self.valid["adapter_model.safetensors"])
        self._with(self.work, "adapter_model.safetensors", content, self._assembled)

    def _assembled(self) -> None:
        assemble(read_peft(self.work), self.base)

    def _checkpoint(self, chance: random.Random) -> None:
        config = self.base.config
        if chance.random() < 0.2:
            index = {"metadata": {}, "weight_map": {"a": "model-1.safetensors", "b": "x"}}
            weights = self.model / "model.safetensors"
            aside = weights.rename(self.model / "aside")
            try:
                self._with(self.model, "model.safetensors.index.json",
                           mutate.as_json(chance, index),
                           lambda: read_checkpoint(self.model, config))  # fmt: skip
            finally:
                aside.rename(weights)
            return
        content = mutate.as_safetensors(chance, self.base_files["model.safetensors"])

        def look() -> None:
            build_backbone(read_checkpoint(self.model, config), config)

        self._with(self.model, "model.safetensors", content, look)

    def _config(self, chance: random.Random) -> None:
        def look() -> None:
            config = read_encoder_config(self.model)
            build_backbone(read_checkpoint(self.model, config), config)
            kind_of(self.model)

        content = mutate.as_json(chance, chance.choice(self.configs))
        self._with(self.model, "config.json", content, look)

    def _options(self, chance: random.Random) -> None:
        valid = yaml.safe_load(self.valid["run.yaml"])
        path = self.work / "run.yaml"
        content = mutate.as_yaml(chance, valid)
        self._with(self.work, path.name, content,
                   lambda: build(TrainConfig, read_yaml(path, TrainConfig)))  # fmt: skip

    def _tokenizer(self, chance: random.Random) -> None:
        name = chance.choice(("tokenizer.json", "tokenizer_config.json"))

        def look() -> None:
            made = load_tokenizer(self.work, self.base.config, max_length=20, error=AdapterError)
            made.encode(["很好吃 good", ""])

        self._with(self.work, name, mutate.as_json(chance, self.values[name]), look)

    def _pieces(self, chance: random.Random) -> None:
        """A SentencePiece model alone, of each family that comes with one."""
        kinds = ("deberta-v2", "albert", "camembert", "xlm-roberta")
        config = encoder_config({"model_type": chance.choice(kinds), **SIZES})
        table = chance.choice((b"", b"", chance.randbytes(chance.randrange(40))))
        seed = chance.choice((SMALL, USUAL)) + (field(3, field(2, table)) if table else b"")
        (self.spm / "spm.model").write_bytes(mutate.flipped(chance, seed))
        written = {"do_lower_case": True, "split_by_punct": True, "pad_token": "[PAD]"}
        (self.spm / "tokenizer_config.json").write_bytes(mutate.as_json(chance, written))
        (self.spm / "added_tokens.json").write_bytes(
            mutate.as_json(chance, chance.choice(({}, {"<A>": 10, "<B>": 11})))
        )
        made = load_tokenizer(self.spm, config, max_length=20, rows=chance.choice((None, 10)))
        made.encode(["很好 good", ""])

    def _modules(self, chance: random.Random) -> None:
        modules = [{"idx": 0, "path": "0_Transformer", "type": "models.Transformer"}]
        (self.sbert / "modules.json").write_bytes(mutate.as_json(chance, modules))
        place = find_backbone(str(self.sbert), offline=True).path
        assert place.resolve().is_relative_to(self.sbert.resolve())

    def _adapter(self, chance: random.Random) -> None:
        def look() -> None:
            backbone_name(self.work, read_peft_config(self.work), manifest_of(self.work))
            load_any(self.work, backbone=str(self.backbone))
            describe(self.work)

        self._broken(chance, self.work, look)

    def _model(self, chance: random.Random) -> None:
        def look() -> None:
            kind_of(self.alone)
            describe(self.alone)
            load_any(self.alone)

        self._broken(chance, self.alone, look)

    def _broken(self, chance: random.Random, directory: Path, look: Callable[[], object]) -> None:
        """Change one file of a directory, and at times take another one away."""
        names = sorted(path.name for path in directory.iterdir() if path.suffix in MUTABLE)
        name, gone = chance.choice(names), directory / chance.choice(names)
        was = (directory / name).read_bytes()
        if name.endswith(".safetensors"):
            content = mutate.as_safetensors(chance, was)
        else:
            content = mutate.as_json(chance, json.loads(was))
        if gone.name == name or chance.random() < 0.6:
            self._with(directory, name, content, look)
            return
        aside = gone.rename(self.place / "aside")
        try:
            self._with(directory, name, content, look)
        finally:
            aside.rename(gone)

    def _table(self, chance: random.Random, name: str, content: bytes, read: str = "") -> None:
        (self.place / name).write_bytes(content)
        path = self.place / (read or name)
        options = ReadOptions()
        if chance.random() < 0.3:
            options = ReadOptions(
                encoding=chance.choice(("auto", "utf-8", "gb18030", "utf-16", "klingon")),
                header=chance.choice((None, True, False)),
                columns=chance.choice(((), ("label", "text"), ("text",), ("a", "b", "c"))),
            )
        asked = chance.choice((None, None, None, "text", "nowhere"))
        labels = chance.choice((None, None, None, None, "label", "a,b", "label,x"))
        examples_from(
            read_table(path, options), text_column=asked, label_column=labels,
            need_labels=chance.random() < 0.5,
            label_names=chance.choice(({}, {"good": "positive"})),
        )  # fmt: skip

    def _delimited(self, chance: random.Random) -> None:
        kind, delimiter = chance.choice((
            ("csv", ","), ("csv", ";"), ("csv", "|"), ("tsv", "\t"), ("txt", "|"), ("txt", ","),
        ))  # fmt: skip
        self._table(chance, f"rows.{kind}", mutate.as_delimited(chance, delimiter))

    def _jsonl(self, chance: random.Random) -> None:
        self._table(chance, "rows.jsonl", mutate.as_jsonl(chance))

    def _json(self, chance: random.Random) -> None:
        name = chance.choice(("rows.json", "rows.json", "rows.jsonl", "rows.txt", "rows.csv"))
        self._table(chance, name, mutate.as_json_table(chance))

    def _fasttext(self, chance: random.Random) -> None:
        name = chance.choice(("rows.txt", "rows.ft", "rows.tsv", "rows.csv", "rows.json"))
        self._table(chance, name, mutate.as_fasttext(chance))

    def _parquet(self, chance: random.Random) -> None:
        self._table(chance, "rows.parquet", mutate.as_parquet(chance))

    def _packed(self, chance: random.Random) -> None:
        ending, content = mutate.as_packed(chance)
        self._table(chance, f"rows.csv{ending}", content)

    def _workbook(self, chance: random.Random) -> None:
        self._table(chance, "rows.xlsx", mutate.as_workbook(chance, self.workbook))

    def _texts(self, chance: random.Random) -> None:
        for label in ("good", "bad"):
            (self.place / "texts" / label).mkdir(parents=True, exist_ok=True)
            self._table(chance, f"texts/{label}/1.txt", mutate.as_delimited(chance, ","), "texts")


def _config_of(model_type: str) -> dict[str, object]:
    """``config.json`` of a tiny model of a family."""
    found: dict[str, object] = json.loads(tiny_classifier(model_type).config.to_json_string())
    return found
