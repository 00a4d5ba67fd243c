"""``infer --on ray``: the rows of many files, answered by the machines of a Ray cluster."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path, PurePath
from typing import Any

from lora_bert import errors, remote
from lora_bert._version import __version__
from lora_bert.adapters.trained_on import training_format
from lora_bert.config import InferConfig
from lora_bert.data.data_options import read_options
from lora_bert.data.locations import part_to_predict, to_predict
from lora_bert.data.opening import PACKINGS
from lora_bert.data.pair_columns import TextColumns, find_text_columns
from lora_bert.data.rows import ReadOptions
from lora_bert.data.tables import iter_pieces
from lora_bert.errors import ConfigError, DataError, LoraBertError, UnavailableError
from lora_bert.inference.engines.branches import BranchEngine
from lora_bert.inference.engines.choice import require
from lora_bert.inference.engines.engine import TEXTS_AT_ONCE
from lora_bert.inference.part_files import Output
from lora_bert.inference.predictor import Predictor, open_predictor
from lora_bert.inference.ray_cluster import cluster, resources
from lora_bert.inference.ray_worker import BACKBONE, MODEL, PART, Answerer, Job, read
from lora_bert.inference.read_texts import TextCounts
from lora_bert.inference.sinks import typed_rows, warn_of_formulas
from lora_bert.runtime.device import pick_device
from lora_bert.runtime.progress_bar import track
from lora_bert.wording import reason

log = logging.getLogger(__name__)

_NOT_DECIDING = ("texts", "pair", "input", "output", "overwrite", "on", "ray_address")
"""Options that no answer depends on."""
_NEEDED = (".safetensors", ".json", ".txt", ".model", ".yaml")
"""Endings of the files that a model or backbone is made of."""
_GRAPHS = (".onnx", ".onnx_data", ".xml")
"""Of an exported model too, beside the weights of a graph, ``.bin``."""


def predict_on_ray(path: str, config: InferConfig) -> int:
    """Classify every row of ``config.input`` into ``config.output``; how many there were.

    The rows, columns and answers are those of :func:`~lora_bert.inference.stream.predict_file`,
    whatever becomes of the machines. What they have answered waits beside the output until all of
    it is there, and the same call goes on with it. With ``config.ray_address`` the adapter and its
    backbone are sent to the machines, which need the same version of this package.

    Raises:
        ConfigError: Something that this cannot do is asked for.
        UnavailableError: Ray, or the package of a file system, is not installed, or there is no
            such cluster, or it does not go on.
        OutputError, DataError, NotFoundError, AdapterError: As without Ray.
    """
    require("ray", "--on ray needs", ("ray",))
    if config.ray_address is None:
        pick_device(config.device)  # a cluster may grow by what is asked for, this machine does not
    sources = _sources(str(config.input))
    output = Output.of(str(config.output), overwrite=config.overwrite)
    output.claim(sources)
    # Opened here too: what is wrong with it is said before a cluster is asked for anything.
    predictor = open_predictor(path, replace(config, device="cpu"))
    if isinstance(predictor.engine, BranchEngine):
        raise ConfigError(
            f"--on ray sends one directory, and '{path}' is a branch on a trunk outside it.",
            hint="Export the adapter alone.",
        )
    task, most, counts = predictor.task.told(config), predictor.tokenizer.max_length, TextCounts()
    job = _job(path, config, predictor, sources, output)
    named = _named_files(predictor.places) if config.ray_address else ()
    model = {name: file.read_bytes() for name, file in named}
    gpu = config.device != "cpu" and predictor.engine.name == "torch"
    del predictor
    is_new = not remote.is_url(job.room) and not Path(job.room).is_dir()
    try:
        if is_new:
            Path(job.room).mkdir(parents=True, exist_ok=True)
        with cluster(config.ray_address) as nodes:
            taken = resources(nodes, gpu=gpu, must=config.device == "cuda")
            parts = dict(_answered(job, sources, model, taken, counts))
        output.complete(job.room, parts)
    except BaseException:
        _say_what_waits(job.room, is_new=is_new)
        raise
    counts.tell(most, tagged=bool(task.words))
    return sum(parts.values())


def _sources(name: str) -> list[str]:
    if remote.is_url(name):
        return list(part_to_predict(remote.matching(name)))
    return [str(path.absolute()) for path in to_predict(Path(name))]


def _job(
    path: str, config: InferConfig, predictor: Predictor, sources: Sequence[str], output: Output
) -> Job:
    """What the machines are told, after a look at the first rows."""
    reading = read_options(config, training_format(predictor.manifest))
    alike = {_format(source) for source in sources} == {output.suffix}
    first, columns, texts, typed, schema = _head(sources, config, reading, alike, output.suffix)
    options = {name: value for name, value in asdict(config).items() if name not in _NOT_DECIDING}
    decides = [__version__, options, columns, texts, str(schema), typed, output.suffix]
    decides += [
        (name, file.stat().st_size, file.stat().st_mtime_ns)
        for name, file in _named_files(predictor.places)
    ]
    key = sha256(json.dumps(decides).encode()).hexdigest()[:16]
    room = output.waiting_room(key)
    return Job(
        path=str(Path(path).absolute()), config=config, reading=reading, texts=texts,
        columns=columns, first=first, schema=schema, typed=typed, room=room,
        suffix=output.suffix, done=frozenset(remote.names_in(room)),
    )  # fmt: skip


def _head(
    sources: Sequence[str], config: InferConfig, reading: ReadOptions, alike: bool, suffix: str
) -> tuple[str, tuple[str, ...], TextColumns, bool, Any]:
    """The first file that holds rows, its columns, those of texts; whether values keep types.

    They may where files are ``alike``; then the schema of these types comes last, if any.
    """
    for source in sources:
        with remote.local_copy(source) as path:
            for piece in iter_pieces(path, reading, rows=TEXTS_AT_ONCE):
                texts = find_text_columns(
                    piece.columns, text=config.text_column, pair=config.text_pair_column,
                    training=reading.training, cells=piece.values, source=source,
                )  # fmt: skip
                originals = typed_rows([path], suffix, reading, TEXTS_AT_ONCE) if alike else None
                schema = next(originals).schema if originals and suffix == ".parquet" else None
                return source, piece.columns, texts, originals is not None, schema
    raise DataError(f"'{sources[0]}' holds no rows.")


def _format(name: str) -> str:
    """The ending that a file's name has for its format."""
    path = PurePath(remote.base_name(name))
    suffix = (path.with_suffix("") if path.suffix.lower() in PACKINGS else path).suffix.lower()
    return ".jsonl" if suffix == ".ndjson" else suffix


def _named_files(places: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """The files of a model, and of the backbone that it has elsewhere, as a machine names them."""
    for name, place in zip((MODEL, BACKBONE), dict.fromkeys(places), strict=False):
        graphs = name == MODEL
        for file in sorted(place.rglob("*") if graphs else place.glob("*")):
            of_graph = file.suffix in _GRAPHS or file.with_suffix(".xml").is_file()
            needed = file.suffix in _NEEDED or (graphs and of_graph)
            if needed and file.is_file() and not file.relative_to(place).parts[0].startswith("."):
                yield f"{name}/{file.relative_to(place).as_posix()}", file


def _answered(
    job: Job, sources: Sequence[str], model: Mapping[str, bytes], resources: dict[str, Any],
    counts: TextCounts,
) -> Iterator[tuple[str, int]]:  # fmt: skip
    """Have the cluster answer all rows: the name of each part as it is written, and its rows.

    What they have read is added to ``counts``, but of parts that were answered before.

    Raises:
        UnavailableError: The cluster does not go on, or has lost rows.
    """
    import ray
    from ray.data import ActorPoolStrategy, DataContext, TaskPoolStrategy
    from ray.data.exceptions import SystemException

    context = DataContext.get_current()
    context.target_max_block_size = 1  # each part goes to an actor as soon as it is read
    context.enable_progress_bars = context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    count = max(1, resources.pop("count"))
    items = [{"number": at, "source": source} for at, source in enumerate(sources)]
    results = (
        ray.data.from_items(items, override_num_blocks=len(items))
        .map_batches(
            read, batch_size=1, num_cpus=0, compute=TaskPoolStrategy(size=max(1, count // 8)),
            fn_kwargs={"job": job},
        )
        .map_batches(
            Answerer, batch_size=1, compute=ActorPoolStrategy(min_size=count, max_size=None),
            fn_constructor_args=(job, ray.put(model)), **resources,
        )
    )  # fmt: skip
    try:
        yield from _checked(results.iter_rows(), sources, counts)
    except (ray.exceptions.RayError, SystemException) as error:
        raise UnavailableError(
            f"Ray gave up: {reason(error)}.",
            hint="--debug shows all of it. All machines need lora-bert[ray] in the same version.",
        ) from error


def _checked(
    results: Iterable[Mapping[str, Any]], sources: Sequence[str], counts: TextCounts
) -> Iterator[tuple[str, int]]:
    """The parts among results, after what is said of them; at the end, whether all are there."""
    answered, read, seen = Counter[int](), Counter[int](), set[str]()
    formulas = 0
    with track(None, "predicting") as bar:
        for result in results:
            for kind, *what in json.loads(result["said"]):
                if kind == "error":
                    raise getattr(errors, what[0])(what[1], hint=what[2])
                if kind == "formulas":
                    formulas += what[0]
                elif kind == "texts":
                    counts.include(TextCounts(*what))
                elif what[2] not in seen:
                    seen.add(what[2])
                    logging.getLogger(what[0]).log(what[1], "%s", what[2])
            name, rows = result["name"], int(result["rows"])
            if not name:
                read[result["file"]] += rows
            elif name not in seen:
                seen.add(name)
                answered[result["file"]] += rows
                bar.update(rows)
                yield name, rows
    warn_of_formulas(formulas)
    if lost := [sources[at] for at in range(len(sources)) if read[at] != answered[at]]:
        raise UnavailableError(
            f"The cluster has lost rows of '{lost[0]}'.", hint="The same command goes on."
        )


def _say_what_waits(room: str, *, is_new: bool) -> None:
    """Say how a job goes on that has ended early; one that has answered nothing leaves nothing.

    A directory that was there may be that of the same job, which somebody else has begun.
    """
    with suppress(LoraBertError):
        if any(name.startswith(PART) for name in remote.names_in(room)):
            log.warning("What is answered so far waits in '%s': the same command goes on.", room)
        elif is_new:
            with suppress(OSError):
                Path(room).rmdir()
