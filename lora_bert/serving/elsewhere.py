"""What adapters stand on in another process, so that requests and computing share no lock."""

from __future__ import annotations

import json
import logging
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast
from weakref import WeakValueDictionary, finalize

import numpy as np
from tokenizers import Tokenizer

from lora_bert import errors
from lora_bert.adapters.manifest import Manifest
from lora_bert.config import DirectoryConfig
from lora_bert.errors import UnavailableError
from lora_bert.inference.engines.engine import TEXTS_AT_ONCE, Compute
from lora_bert.inference.predictor import Predictor
from lora_bert.runtime.threads import Workers
from lora_bert.serving.asked import Asked
from lora_bert.serving.link import Calls, Link, Message
from lora_bert.serving.packed_rows import divided, packed
from lora_bert.tokens.shared_tokenizer import SharedTokenizer, prepared
from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.tokens.tokenizer import TextTokenizer

_SECONDS = 5.0
"""For which it is waited that the process ends by itself."""


class Elsewhere:
    """A process that holds the backbone and the adapters, and computes.

    It is a :class:`.Base`: its predictors know their tokenizer and their task, and ask the process
    for logits. And it is a :class:`.Computer`. Whatever is asked of it once it has ended is an
    UnavailableError.

    Args:
        process: Of :func:`.computing_process`.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, link = process, Link(process.stdout, process.stdin)
        self._calls, self._closing, self._name = Calls(link, _log), False, ""
        self._link, self._forgotten = link, deque[int]()
        self._tokenizers: WeakValueDictionary[str, SharedTokenizer] = WeakValueDictionary()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def name(self) -> str:
        """Of the backbone."""
        return self._name

    def open(self, config: DirectoryConfig) -> Elsewhere:
        """Open what the adapters of a directory stand on; errors are those of :func:`.base_of`."""
        self._name = self._ask({"do": "open", "config": asdict(config)}).head["name"]
        return self

    def load(self, place: Path, labels: Sequence[str]) -> Predictor:
        """As :meth:`.Base.load`."""
        return self._loaded(place, labels, verify=False)

    def verified(self, place: Path, labels: Sequence[str]) -> Predictor:
        """As :meth:`.Base.verified`."""
        return self._loaded(place, labels, verify=True)

    def compute(self, asked: Sequence[Asked]) -> list[np.ndarray]:
        """As :func:`.computing.compute`."""
        engines = [cast(_Engine, each.predictor.engine) for each in asked]
        return self._computed(engines, [each.tokens for each in asked])

    def when_ended(self, told: Callable[[UnavailableError], None]) -> None:
        """Have somebody told when the process ends before :meth:`close`."""

        def wait() -> None:
            self._process.wait()
            if not self._closing:
                told(self._ended())

        threading.Thread(target=wait, name="lora-bert watch", daemon=True).start()

    def close(self) -> None:
        """Have the process end; it is waited for, unless it goes on for long."""
        self._closing = True
        with suppress(OSError):  # it has ended, and something was still to be sent
            self._link.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_SECONDS)

    def _loaded(self, place: Path, labels: Sequence[str], *, verify: bool) -> Predictor:
        order = {"do": "load", "place": str(place), "labels": list(labels), "verify": verify}
        said = self._ask(order).head
        manifest = Manifest.of_json(json.loads(said["manifest"]))
        engine = _Engine(self._computed, said["adapter"], **said["engine"])
        finalize(engine, self._forgotten.append, engine.number)
        places = tuple(map(Path, said["places"]))
        tokenizer = self._tokenizer(said["tokenizer"])
        # Of how many texts a batch is, the process knows.
        return Predictor(engine, tokenizer, manifest, places, batch_size=TEXTS_AT_ONCE)

    def _computed(
        self, engines: Sequence[_Engine], tokens: Sequence[TokenizedTexts]
    ) -> list[np.ndarray]:
        arrays = packed([each.number for each in engines], tokens)
        (outputs,) = self._ask({"do": "compute"}, arrays).arrays
        return divided(outputs, engines, tokens)

    def _tokenizer(self, described: Mapping[str, Any]) -> TextTokenizer:
        digest = described["shared"]
        if (shared := self._tokenizers.get(digest)) is None:
            (written,) = self._ask({"do": "tokenizer", "digest": digest}).arrays
            made = prepared(Tokenizer.from_str(written.tobytes().decode()), clean=False)
            shared = self._tokenizers.setdefault(digest, made)
        return TextTokenizer(**{**described, "shared": shared})

    def _ask(self, order: dict[str, Any], arrays: Sequence[np.ndarray] = ()) -> Message:
        # Garbage is collected at any moment, so it is only noted who is not needed any more.
        order["forget"] = [self._forgotten.popleft() for _ in range(len(self._forgotten))]
        try:
            answer = self._calls.ask(order, arrays)
        except (EOFError, OSError, ValueError) as gone:  # ValueError: the pipe is closed
            raise self._ended() from gone
        if error := answer.head.get("error"):
            raise _error(error)
        return answer

    def _ended(self) -> UnavailableError:
        code = self._process.wait(_SECONDS)
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        return UnavailableError(
            f"The process that computes has ended ({how}).",
            hint="Was there too little memory? Start the server again.",
        )


@dataclass(frozen=True, eq=False)
class _Engine:
    """An adapter of the process."""

    computed: Callable[[Sequence[_Engine], Sequence[TokenizedTexts]], list[np.ndarray]]
    number: int
    outputs: int
    of_tokens: bool
    own_bytes: int
    said: str
    name = "torch"

    def __str__(self) -> str:
        return self.said

    def cut(self, lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
        return [np.arange(len(lengths))]  # the process makes batches

    def logits(self, texts: TokenizedTexts, rows: np.ndarray) -> np.ndarray:
        (outputs,) = self.computed([self], [texts.take(rows)])
        return outputs

    def side_by_side(self, texts: int | None) -> tuple[Compute, Workers]:
        return self.logits, Workers(1)


def _error(said: Mapping[str, str]) -> Exception:
    """What went wrong in the process: an error of ours, or whatever it was, in words."""
    kind, message = said["kind"], said["message"]
    if (ours := getattr(errors, kind, None)) is None:
        return MemoryError(message) if kind == MemoryError.__name__ else RuntimeError(message)
    made: Exception = ours(message, hint=said["hint"])
    return made


def _log(message: Message) -> None:
    said = message.head
    logging.getLogger(said["logger"]).log(said["level"], "%s", said["text"])
