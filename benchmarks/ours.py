"""What is measured through inner rooms of ``lora_bert``: the one file that knows them.

Training steps go through :class:`Stepper`, predicting from file to file through ``predict_file``;
what the public API does is in :mod:`benchmarks.public`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.data import Workload, read_rows


class Stepper:
    """Our training steps on all linear layers, without trunk cache.

    Args:
        work: Backbone, rank, batch size, device.
        ids: Token ids of every row.
        targets: Class index of every row.
        layers: Which layers are adapted.

    Attributes:
        dtype: Of the frozen weights (torch's).
        hidden: Width of the hidden states; ``inner`` of the feed-forward layers.
        layers: Number of transformer layers.
    """

    def __init__(
        self,
        work: Workload,
        ids: Sequence[Sequence[int]],
        targets: Sequence[int],
        *,
        layers: str = "all",
    ) -> None:
        import numpy as np
        import torch

        from lora_bert.adapters.open_backbone import open_backbone
        from lora_bert.config import TrainConfig
        from lora_bert.model.new_adapter import new_adapter
        from lora_bert.runtime.device import pick_device, pick_dtype
        from lora_bert.runtime.threads import computing_with, workers
        from lora_bert.tasks.single_label import SingleLabel
        from lora_bert.tokens.tokenized import TokenizedTexts
        from lora_bert.training.gradients import Gradients, most_workers
        from lora_bert.training.learner import BranchLearner
        from lora_bert.training.tokenize_rows import Tokens
        from lora_bert.training.trainer import Trainer
        from lora_bert.training.trunk_states import TrunkBatches

        device = pick_device(work.device)
        dtype = pick_dtype("auto", device)
        backbone = open_backbone(work.backbone, dtype=dtype, device=device).backbone
        adapter = new_adapter(
            backbone,
            max(targets) + 1,
            rank=work.rank,
            alpha=2.0 * work.rank,
            dropout=0.0,
            target_modules="all-linear",
            layers=layers,
            generator=torch.Generator().manual_seed(work.seed),
        ).to(device)
        self.dtype = backbone.dtype
        self.hidden = backbone.hidden_size
        self.inner = backbone.layers[0].fused["output"].weight.shape[1]
        self.layers = len(backbone.layers)
        self._array = np.asarray
        rows = Tokens(
            TokenizedTexts.of(ids, backbone.config.pad_token_id),
            np.asarray(targets, dtype=np.int64),
        )
        config = TrainConfig(batch_size=work.batch_size, learning_rate=work.learning_rate, epochs=1)
        # The threads live as long as the process, which measures this and nothing else.
        self._open = ExitStack()
        threads = self._open.enter_context(workers(most_workers(config, rows), device=device))
        self._open.enter_context(computing_with(threads.cores))
        hidden = TrunkBatches(backbone, rows.encodings, adapter.depth)
        task = SingleLabel(tuple(map(str, range(max(targets) + 1))))
        gradients = Gradients(
            backbone, adapter, hidden, rows.lengths, rows.targets, task, threads, seed=config.seed
        )
        learner = BranchLearner(gradients, {}, {}, threads.cores)
        self._trainer = Trainer(learner, rows, task, config)

    def step(self, rows: Sequence[int]) -> None:
        """One optimizer step over one batch, given by its row numbers."""
        self._trainer.step([self._array(rows)])


def exactness(workload: dict[str, Any], lengths: Sequence[int]) -> dict[str, Any]:
    """How far bfloat16 on the workload's device is from float32 on the CPU.

    For one batch of rows that have ``lengths`` tokens.

    ``rows_outputs`` and ``rows_gradient`` are the distances as shares of what is right, with the
    attention that the device takes; ``padded_…`` the same with rows padded.
    """
    from unittest.mock import patch

    import torch
    from torch.nn.functional import cross_entropy

    from lora_bert.adapters.open_backbone import open_backbone
    from lora_bert.model import row_attention
    from lora_bert.model.forward import branch, trunk
    from lora_bert.model.new_adapter import new_adapter
    from lora_bert.tokens.batching import TokenBatch
    from lora_bert.tokens.tokenized import TokenizedTexts

    work = Workload(**workload)
    device = torch.device(work.device)
    exact = open_backbone(work.backbone, dtype=torch.float32, device=torch.device("cpu")).backbone
    rough = open_backbone(work.backbone, dtype=torch.bfloat16, device=device).backbone
    draw = torch.Generator().manual_seed(work.seed)
    adapter = new_adapter(
        exact, 3, rank=work.rank, alpha=2.0 * work.rank, dropout=0.0, target_modules="all-linear",
        layers="all", generator=draw,
    )  # fmt: skip
    for tensor in adapter.tensors:
        tensor.add_(torch.empty_like(tensor).normal_(0, 0.02, generator=draw))
    ids = [torch.randint(5, 20_000, (length,), generator=draw).tolist() for length in lengths]
    batch = TokenBatch.of(TokenizedTexts.of(ids, exact.config.pad_token_id), range(len(ids)))

    def found(backbone: Any) -> tuple[Any, Any]:
        moved = adapter.copy().to(backbone.device)
        for tensor in moved.tensors:
            tensor.requires_grad_()
        outputs = branch(backbone, trunk(backbone, batch, 0), batch.offsets, moved)
        loss = cross_entropy(outputs, torch.arange(len(ids), device=backbone.device) % 3)
        gradient = torch.autograd.grad(loss, list(moved.tensors))
        joined = torch.cat([part.ravel() for part in gradient])
        return outputs.detach().cpu().double(), joined.cpu().double()

    right, reads = found(exact), float(row_attention.reads_rows(rough))
    by_rows = found(rough)
    with patch.object(row_attention, "has_row_kernel", lambda device, dtype: False):
        padded = found(rough)
    shares = {
        f"{kind}_{name}": float((one - other).norm() / other.norm())
        for kind, ours in (("rows", by_rows), ("padded", padded))
        for name, one, other in zip(("outputs", "gradient"), ours, right, strict=True)
    }
    return {**shares, "reads_rows": reads}


def file_to_file(
    model: str, source: str, warm: str, scratch: str, exact: str = "", **settings: Any
) -> dict[str, Any]:
    """Rows per second from JSON lines to JSON lines, tokenising included, the model loaded.

    With what the answers change against those in the file ``exact``, if there is one.
    """
    from benchmarks.changes import changes
    from lora_bert.inference.stream import predict_file

    predictor = _predictor(model, **settings)
    predict_file(predictor, Path(warm), Path(scratch, "warm.jsonl"))
    target = Path(scratch, "out.jsonl")
    started = time.perf_counter()
    rows = predict_file(predictor, Path(source), target)
    seconds = time.perf_counter() - started
    changed = changes(target, exact) if exact else {}
    return {"rate": rows / seconds, "seconds": seconds, "rows": rows, **changed}


def one_by_one(model: str, source: str, **settings: Any) -> dict[str, Any]:
    """Seconds per text, each asked alone."""
    from benchmarks.peers.answering import latencies

    predictor = _predictor(model, **settings)
    texts = [text for text, _ in read_rows(source)]
    return latencies(lambda text: predictor.predict([text]), texts)


def _predictor(model: str, **settings: Any) -> Any:
    """``lora_bert.load``; ``engine`` is named only where it is not torch."""
    import lora_bert

    return lora_bert.load(model, **settings)
