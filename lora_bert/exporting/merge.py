"""``merge``: an adapter and its backbone become one standalone model, compared before it counts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from lora_bert.adapters.directory import check_answerable, is_classifier, kind_of
from lora_bert.adapters.loading import Loaded, load_any
from lora_bert.adapters.merged import write_merged
from lora_bert.backbones.config import read_config
from lora_bert.config import ExportConfig, MergeConfig
from lora_bert.config.keywords import MergeOptions
from lora_bert.config.kinds import StrPath
from lora_bert.data.examples import Examples
from lora_bert.data.given import with_given_rows
from lora_bert.data.texts import Text
from lora_bert.errors import AdapterError, ConfigError
from lora_bert.files import atomic_directory, claim_output, size_of, spare_inputs
from lora_bert.inference.predictor import Predictor, open_predictor
from lora_bert.inference.samples import answerable, samples
from lora_bert.names import parse_names
from lora_bert.options import build
from lora_bert.python_face import called_from_python
from lora_bert.runtime.device import dtype_name
from lora_bert.wording import amount, counted

log = logging.getLogger(__name__)

TOLERANCE = 1e-4


@dataclass(frozen=True)
class MergeResult:
    """A written merged model.

    Attributes:
        path: Its directory.
        difference: Largest difference of a probability (of a number: in standard deviations of the
            training's) between it and base + adapter, float32.
        texts: On how many texts.
        size: Bytes of the directory.
        moved: Largest difference of a probability of those texts between float32 and what ``infer``
            computes in here unless it is told otherwise, bfloat16; None where that is float32.
        measured_in: What these differences are measured in, in words.
        asked_as: How ``lora-bert infer`` is asked.
    """

    path: Path
    difference: float
    texts: int
    size: int
    moved: float | None = None
    measured_in: str = "probability"
    asked_as: str = '"…"'

    def __repr__(self) -> str:
        return (
            f"MergeResult({str(self.path)!r}: {amount(self.size)}, largest difference "
            f"{self.difference:.1e} on {counted(self.texts, 'text')})"
        )


@called_from_python(MergeConfig, MergeOptions)
def merge(adapter: StrPath, output: StrPath, **options: Unpack[MergeOptions]) -> MergeResult:
    """Fold an adapter into its backbone and write a standalone ``transformers`` model.

    Args:
        adapter: The adapter's directory.
        output: The directory to make.
        **options: See :class:`lora_bert.config.MergeConfig`.

    Raises:
        AdapterError: The adapter is damaged, or the merged model does not predict the same to
            within 1e-4; nothing is written then.
        OutputError: ``output`` is taken, not writable, or the adapter itself.
    """
    given = with_given_rows({"adapter": adapter, "output": output, **options})
    return run(build(MergeConfig, given))


def run(config: MergeConfig) -> MergeResult:
    """As :func:`merge`, of a checked configuration."""
    source, output = Path(config.adapter), Path(config.output)
    if kind_of(source) == "merged":
        settings = read_config(source)
        check_answerable(settings, source)
        if is_classifier(settings):
            raise ConfigError(f"'{source}' is a merged model already.")
        raise ConfigError(
            f"'{source}' is a backbone; what is merged is an adapter.",
            hint="Name the adapter's directory: its backbone is found, or given with --backbone.",
        )
    spare_inputs(output, (source,))
    claim_output(output, overwrite=config.overwrite)
    before, rows = load_with_samples(config, source, output)
    texts = rows.texts
    with atomic_directory(output, overwrite=config.overwrite) as work:
        write_merged(work, before)
        after = load_any(work, as_written=True)  # as everybody reads it
        exact = Predictor.of(after, work)
        difference = _difference(Predictor.of(before, source), exact, texts)
        if not difference <= TOLERANCE:
            raise AdapterError(
                f"The merged model differs from base + adapter by {difference:.2g} in "
                f"{exact.task.apart_in}, more than {TOLERANCE:g}; it was not kept."
            )
        rounds = dtype_name("auto", "auto") != "float32"
        moved = _difference(exact, open_predictor(work), texts) if rounds else None
    return MergeResult(
        path=output,
        difference=difference,
        texts=len(texts),
        size=size_of(output),
        moved=moved,
        measured_in=exact.task.apart_in,
        asked_as=exact.task.asked_as[exact.manifest.inputs == 2],
    )


def load_with_samples(
    config: MergeConfig | ExportConfig, source: Path, output: Path
) -> tuple[Loaded, Examples]:
    """What is to be written in another form, and the rows on which the two forms are compared."""
    loaded = load_any(
        source,
        backbone=config.backbone,
        labels=parse_names(config.labels),
        allow_backbone_mismatch=config.allow_backbone_mismatch,
    )
    spare_inputs(output, (source, loaded.files.path, config.data))
    return loaded, rows_to_compare(config, loaded)


def rows_to_compare(config: MergeConfig | ExportConfig, loaded: Loaded) -> Examples:
    """The rows on which what is written is compared with what it was made of."""
    rows = samples(config, loaded.manifest)
    return answerable(rows, loaded.tokenizer) if config.data is None else rows


def _difference(before: Predictor, after: Predictor, texts: Sequence[Text]) -> float:
    return float(before.task.apart(before.computed(texts), after.computed(texts)).max())
