"""The options of the commands about models and files."""

from __future__ import annotations

from dataclasses import dataclass

from lora_bert.config.shared import LabelledFileOptions, Opening, backbone_option
from lora_bert.options import option


@dataclass(frozen=True)
class MergeConfig(Opening, LabelledFileOptions):
    """The options of ``merge``."""

    adapter: str = option("", "Adapter to merge.", positional=True, metavar="ADAPTER")
    output: str = option("", "Directory of the merged model.", positional=True, metavar="OUT")
    data: str | None = option(
        None,
        "Texts for the comparison (1,000, drawn at random), in place of the 64 shipped ones.",
        metavar="FILE",
    )
    overwrite: bool = option(False, "Replace the output directory.")


@dataclass(frozen=True)
class CombineConfig:
    """The options of ``combine``."""

    adapters: tuple[str, ...] = option(
        (), "Adapters to combine, two or more.", positional=True, metavar="ADAPTER…"
    )
    output: str = option("", "Directory of the combined adapter.", positional=True, metavar="OUT")
    weights: str | None = option(
        None,
        "What each adapter counts for, in their order: shares of the sum of these numbers, from 0 "
        "on (default: all the same).",
        metavar="SHARE,…",
        form="numbers",
    )
    rank: int | None = option(
        None,
        "Cut the sum of the LoRA matrices down to this rank (default: exact, the sum of the "
        "adapters' ranks).",
        metavar="N",
        minimum=1,
    )
    backbone: str | None = backbone_option()
    overwrite: bool = option(False, "Replace the output directory.")


@dataclass(frozen=True)
class ExportConfig(Opening, LabelledFileOptions):
    """The options of ``export``."""

    path: tuple[str, ...] = option(
        (), "Adapter or merged model to export, or several adapters, which share a trunk.",
        positional=True, metavar="ADAPTER…|MERGED",
    )  # fmt: skip
    output: str = option("", "Directory of the exported model.", positional=True, metavar="OUT")
    format: str = option("openvino", "For which engine.", choices=("openvino", "onnx"))
    int8: bool = option(
        False, "Quantise to eight bits: a quarter of the size, faster on CPUs without bfloat16."
    )
    data: str | None = option(
        None,
        "Texts for the comparison (1,000, drawn at random) and for quantising, in place of the 64 "
        "shipped ones; with labels, the accuracy is compared too.",
        metavar="FILE",
    )
    overwrite: bool = option(False, "Replace the output directory.")


@dataclass(frozen=True)
class ConvertConfig:
    """The options of ``convert-backbone``."""

    path: str = option(
        "",
        "Backbone whose weights are a pickle: a directory or a hub id.",
        positional=True,
        metavar="PATH",
    )
    output: str = option("", "Directory of the converted backbone.", positional=True, metavar="OUT")
    revision: str | None = option(None, "Commit, tag or branch on the hub.", metavar="NAME")
    overwrite: bool = option(False, "Replace the output directory.")


@dataclass(frozen=True)
class BackboneConfig:
    """The options of ``backbone_path``, from Python alone."""

    name: str = option("", "Embedded name, local directory or hub id.", positional=True)
    revision: str | None = option(None, "Commit, tag or branch on the hub.", metavar="NAME")


@dataclass(frozen=True)
class InfoConfig:
    """The options of ``info``."""

    path: str = option("", "Adapter, model or backbone.", positional=True, metavar="PATH")


@dataclass(frozen=True)
class VerifyConfig(Opening):
    """The options of ``verify``."""

    path: str = option(
        "", "Adapter, merged or exported model, backbone.", positional=True, metavar="PATH"
    )


@dataclass(frozen=True)
class CacheConfig:
    """The options of ``cache``."""

    action: str = option("list", "list or clear.", positional=True, metavar="[list|clear]")
    names: tuple[str, ...] = option(
        (), "Kinds or keys; the beginning of a key will do.", positional=True, metavar="[NAME]…"
    )
    older_than: float | None = option(
        None, "Only what was not used for so many days.", metavar="DAYS", minimum=0
    )
