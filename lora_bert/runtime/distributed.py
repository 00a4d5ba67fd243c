"""The processes that train one adapter together, as torchrun starts them; nearly always one.

Only tensors and JSON pass between them, over gloo and on the CPU, whatever computes: what passes is
small. Every function here does nothing where there is one process.
"""

from __future__ import annotations

import atexit
import itertools
import json
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed.rendezvous import rendezvous

from lora_bert.errors import LoraBertError, PeerError
from lora_bert.runtime import signals

log = logging.getLogger(__name__)

_PATIENCE = timedelta(minutes=30)
"""How long a process waits for another that is alive and does not answer."""
_MOMENT = 0.1
_INSTANT = 0.0001
"""Seconds between two looks at what takes a few of them."""
_GRACE = 10.0
"""Seconds that a step may still take after SIGTERM; launchers kill after thirty."""
_FAILED, _DONE = "lora-bert failed", "lora-bert done"
_MPI_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


@dataclass(frozen=True)
class Processes:
    """The processes of a training, as one of them sees them.

    Attributes:
        rank: Which one this is, counted from 0.
        count: How many they are.
        near: How many of them share this machine.
        store: Strings that all of them see; None with one process.
    """

    rank: int = 0
    count: int = 1
    near: int = 1
    store: Any = None
    _blocks: Iterator[int] = field(default_factory=itertools.count)

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and talks."""
        return self.rank == 0

    def add_threads(self) -> int:
        """How many threads all of them have together."""
        return int(self.add(torch.tensor(torch.get_num_threads())))

    def add(self, tensor: Tensor) -> Tensor:
        """The sum of all processes' ``tensor``: the same shape, type and device, the same bits."""
        if self.count == 1:
            return tensor
        near = tensor.cpu()
        with self._together():
            _wait(dist.all_reduce(near, async_op=True))
        return tensor.copy_(near) if near is not tensor else tensor

    def gather(self, value: Any) -> list[Any]:
        """Every process's ``value``, plain JSON, by rank."""
        if self.count == 1:
            return [value]
        text = np.frombuffer(json.dumps(value).encode(), np.uint8).copy()
        sizes = self.add(torch.zeros(self.count, dtype=torch.int64).index_fill(
            0, torch.tensor(self.rank), len(text)))  # fmt: skip
        parts = self.exchange([torch.from_numpy(text)] * self.count, sizes.tolist())
        return [json.loads(part.numpy().tobytes()) for part in parts]

    def exchange(self, given: Sequence[Tensor], sizes: Sequence[int]) -> list[Tensor]:
        """Give each process a tensor, on the CPU, and get one from each.

        They differ in their first size, which is in ``sizes`` for what each gives this one.
        """
        # As bytes: gloo does not know every type.
        shape, dtype = given[0].shape[1:], given[0].dtype
        width = shape.numel() * dtype.itemsize
        sent = torch.cat(list(given)).view(torch.uint8).view(-1, width)
        got = sent.new_empty((sum(sizes), width))
        with self._together():
            split = list(sizes), [len(part) for part in given]
            _wait(dist.all_to_all_single(got, sent, *split, async_op=True))
        return [part.view(dtype).view(-1, *shape) for part in torch.split(got, list(sizes))]

    def collect(self, values: np.ndarray, owners: np.ndarray) -> np.ndarray:
        """The values of all rows, of which each process has those of its own.

        Args:
            values: Of this process's rows, in the order of their numbers, ``[own rows, …]``; of the
                same shape but for the rows in every process, also where it has none.
            owners: The rank that has each row, ``[rows]``: the same in every process.

        Returns:
            ``[rows, …]``, the same in every process.
        """
        if self.count == 1:
            return values
        sizes = np.bincount(owners, minlength=self.count).tolist()
        everyones = np.empty((len(owners), *values.shape[1:]), values.dtype)
        parts = self.exchange([torch.from_numpy(values)] * self.count, sizes)
        for rank, part in enumerate(parts):
            everyones[owners == rank] = part.numpy()
        return everyones

    def raise_stop(self) -> None:
        """Where signals wait: raise what has reached any process, in all of them.

        Raises:
            KeyboardInterrupt: Ctrl-C, or SIGTERM as :class:`lora_bert.runtime.signals.Terminated`.
        """
        if self.count > 1:
            arrived = [number in signals.waiting() for number in (signal.SIGINT, signal.SIGTERM)]
            count = self.add(torch.tensor(arrived).int())
            if count.any():
                # A launcher sends it again to those that the terminal has sent it to.
                signals.ignore(signal.SIGINT)
                signals.raise_now(signal.SIGTERM if count[1] else signal.SIGINT)

    @contextmanager
    def first(self) -> Iterator[bool]:
        """A block for the first process alone, which is told so; the others wait for its end.

        However long that takes; Ctrl-C is the first one's.

        Raises:
            PeerError: In the others, where the first has failed.
        """
        done = f"{_DONE} {next(self._blocks)}"
        if self.is_first:
            yield True
            if self.store is not None:
                self.store.set(done, "")
            return
        yield False
        with signals.uninterrupted():
            try:
                # SIGTERM: whoever started the processes ends those that are left.
                while not self.store.check([done]) and signal.SIGTERM not in signals.waiting():
                    if self.store.check([_FAILED]):
                        raise RuntimeError
                    time.sleep(_MOMENT)
            except RuntimeError as error:
                raise self._lost(error) from error

    @contextmanager
    def one_voice(self) -> Iterator[None]:
        """Have an error that meets several processes said by one of them.

        The others learn of it, and find their error marked as said by somebody
        (``error.said_elsewhere``).
        """
        try:
            yield
        except (LoraBertError, KeyboardInterrupt) as error:
            if self.store is not None:
                with suppress(RuntimeError):  # nobody keeps the store any more
                    if isinstance(error, LoraBertError) and not isinstance(error, PeerError):
                        failure = [str(error), error.hint, error.exit_code]
                        self.store.set(_FAILED, json.dumps(failure))
                        _tell_launcher(error)
                    said = self.store.add(f"lora-bert said {error}", 1) > 1
                    error.said_elsewhere = said  # type: ignore[union-attr]
            raise

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Turn the loss of another process into a sentence.

        Raises:
            PeerError: Another process has ended, or has not answered for half an hour.
        """
        try:
            yield
        except RuntimeError as error:
            # Who started the processes ends those that are left, too; the sentence comes first.
            signals.ignore(signal.SIGINT, signal.SIGTERM)
            raise self._lost(error) from error

    def _lost(self, error: RuntimeError) -> PeerError:
        with suppress(RuntimeError):
            if self.store is not None and self.store.check([_FAILED]):
                message, hint, code = json.loads(self.store.get(_FAILED))
                return PeerError(message, hint=hint, exit_code=code)
        what = "does not answer" if "timed out" in str(error).lower() else "has ended"
        return PeerError(
            f"One of the {self.count} processes of this training {what}; the others cannot go on.",
            hint="The same command with --resume goes on from the last checkpoint.",
        )


def _wait(work: dist.Work) -> None:
    """Wait for what all processes do together.

    gloo can miss that one of them has died. A launcher then ends those that are left, by SIGTERM;
    if it was meant for all of them, they get to the end of the step.

    Raises:
        RuntimeError: It failed, or SIGTERM has waited for too long.
    """
    asked: float | None = None
    while not work.is_completed():
        if signal.SIGTERM in signals.waiting():
            asked = asked or time.monotonic()
            if time.monotonic() > asked + _GRACE:
                raise RuntimeError("a process has gone without a word")
        time.sleep(_INSTANT)
    work.wait()


@cache
def processes() -> Processes:
    """Meet the processes that were started together with this one; once in its life.

    Each gets its share of the machine's cores, and of its GPUs. All but the first keep quiet.

    Raises:
        PeerError: They did not meet.
    """
    _warn_of_fewer()
    count, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "-1"))
    if count == 1 or rank < 0:
        return Processes()
    near = int(os.environ.get("LOCAL_WORLD_SIZE", str(count)))
    _share_cores(near)
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    if near == count and (loopback := _loopback()):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)
    if rank:
        logging.getLogger("lora_bert").setLevel(logging.ERROR)
        os.environ["TQDM_DISABLE"] = "1"
    try:
        store, _, _ = next(rendezvous("env://", timeout=_PATIENCE))
        dist.init_process_group("gloo", store=store, rank=rank, world_size=count, timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise PeerError(f"The {count} processes of this training did not meet: {reason}") from error
    atexit.register(dist.destroy_process_group)  # its threads would abort the interpreter's end
    group = Processes(rank, count, near, store)
    log.info("%d processes train together, %d threads in all.", count, group.add_threads())
    return group


def _tell_launcher(error: LoraBertError) -> None:
    """Have torchrun's report, which is what a user reads last, give the sentence."""
    if path := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        # Whoever ends because of it does so within the second, and the lower rank would be first.
        report = {"message": str(error), "extraInfo": {"timestamp": str(int(time.time()) - 1)}}
        with suppress(OSError):
            Path(path).write_text(json.dumps({"message": report}), encoding="utf-8")


def _warn_of_fewer() -> None:
    """Say so where a launcher was asked for several processes, and this one is alone."""
    environ = os.environ
    if {"WORLD_SIZE", "RANK"} <= environ.keys() or environ.keys() & set(_MPI_SIZES):
        return
    # Accelerate's launcher names a place to meet only where several processes are wanted.
    accelerate = "ACCELERATE_MIXED_PRECISION" in environ and "MASTER_ADDR" in environ
    if accelerate or environ.get("WORLD_SIZE", "1") != "1":
        launcher = "accelerate launch" if accelerate else "$WORLD_SIZE"
        log.warning(
            "%s asks for several processes, and this one was started alone: it trains alone. On "
            "CPUs use torchrun --nproc-per-node N -m lora_bert train …", launcher,
        )  # fmt: skip


def _share_cores(near: int) -> None:
    """Give this process its part of the cores of its machine, which it shares with ``near`` - 1.

    torchrun sets OMP_NUM_THREADS=1 where nobody did, so that says nothing.
    """
    if os.environ.get("OMP_NUM_THREADS", "1") == "1":
        cores = psutil.cpu_count(logical=False) or 1
        if hasattr(os, "sched_getaffinity"):
            cores = min(cores, len(os.sched_getaffinity(0)))
        torch.set_num_threads(max(1, cores // near))


def _loopback() -> str:
    """The interface by which processes of one machine reach each other, "" where it has no name."""
    with suppress(OSError):
        return next((name for _, name in socket.if_nameindex() if name in ("lo", "lo0")), "")
    return ""
