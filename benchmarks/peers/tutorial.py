"""The loop of the tutorials: everything padded to 128 tokens, float32, LoRA on query and value."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.batches import plan
from benchmarks.data import Workload
from benchmarks.peers.models import (
    QUERY_VALUE,
    Rows,
    adapted_classifier,
    tokenised,
    tokenizer_of,
)

LENGTH = 128


def rate(workload: dict[str, Any]) -> dict[str, Any]:
    """Examples per second of training steps, over the batches that everyone gets."""
    work = Workload(**workload)
    rows, _, pad_id = _rows(work)
    _, step = _stepper(work)
    schedule = plan([len(ids) for ids in rows.ids], work.batch_size)
    for batch in schedule.batches[:3]:  # all batches have one shape
        step(*_padded(rows, batch, pad_id))
    started = time.perf_counter()
    for batch in schedule.batches:
        step(*_padded(rows, batch, pad_id))
    seconds = time.perf_counter() - started
    return {
        "rate": schedule.rows / seconds,
        "tokens_per_second": schedule.useful / seconds,
        "padding": 1 - schedule.useful / (schedule.rows * LENGTH),
    }


def whole_run(workload: dict[str, Any], scratch: str) -> dict[str, Any]:
    """From files to the last epoch's adapter on disk, scored on validation rows every epoch."""
    import torch

    started = time.perf_counter()
    work = Workload(**workload)
    rows, validation, pad_id = _rows(work)
    model, step = _stepper(work)
    accuracy = 0.0
    for _ in range(work.epochs):
        order = torch.randperm(len(rows)).tolist()
        for at in range(0, len(order), work.batch_size):
            step(*_padded(rows, order[at : at + work.batch_size], pad_id))
        accuracy = _score(model, validation, pad_id, work.batch_size)
    model.save_pretrained(f"{scratch}/adapter")
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "rate": len(rows) * work.epochs / seconds,
        "accuracy": accuracy,
    }


def _rows(work: Workload) -> tuple[Rows, Rows, int]:
    tokenizer = tokenizer_of(work.backbone)
    parts = [tokenised(path, work, tokenizer) for path in (work.train, work.validation)]
    short = [Rows([_cut(ids) for ids in part.ids], part.targets) for part in parts]
    return short[0], short[1], tokenizer.pad_token_id


def _cut(ids: Any) -> list[int]:
    return list(ids) if len(ids) <= LENGTH else [*ids[: LENGTH - 1], ids[-1]]


def _stepper(work: Workload) -> tuple[Any, Any]:
    import torch

    model = adapted_classifier(work, targets=QUERY_VALUE).train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=work.learning_rate)

    def step(inputs: Any, targets: Any) -> float:
        optimizer.zero_grad()
        loss = model(**inputs, labels=targets).loss
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return model, step


def _padded(rows: Rows, batch: list[int], pad_id: int) -> tuple[Any, Any]:
    import torch

    ids = torch.full((len(batch), LENGTH), pad_id)
    mask = torch.zeros_like(ids)
    for at, row in enumerate(batch):
        found = rows.ids[row]
        ids[at, : len(found)] = torch.tensor(found)
        mask[at, : len(found)] = 1
    targets = torch.tensor([rows.targets[row] for row in batch])
    return {"input_ids": ids, "attention_mask": mask}, targets


def _score(model: Any, rows: Rows, pad_id: int, batch_size: int) -> float:
    import torch

    model.eval()
    right = 0
    with torch.no_grad():
        for at in range(0, len(rows), batch_size):
            batch = list(range(at, min(at + batch_size, len(rows))))
            inputs, targets = _padded(rows, batch, pad_id)
            right += int((model(**inputs).logits.argmax(-1) == targets).sum())
    model.train()
    return right / len(rows)
