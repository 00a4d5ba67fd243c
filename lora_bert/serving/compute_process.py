"""The process that computes: it holds the backbone and the adapters, and knows no request.

It is told over its standard input and answers over its standard output; it ends with the former.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from itertools import count
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np

from lora_bert.config import DirectoryConfig
from lora_bert.errors import LoraBertError
from lora_bert.inference.predictor import Predictor
from lora_bert.runtime.memory import is_out_of_memory
from lora_bert.serving.computing import Here
from lora_bert.serving.link import Link, Message
from lora_bert.serving.packed_rows import unpacked
from lora_bert.tokens.shared_tokenizer import SharedTokenizer
from lora_bert.tokens.tokenizer import TextTokenizer

_LOADING = 4
"""How many adapters are loaded at once, while others compute."""


class ComputeProcess:
    """What the process holds, and how it answers.

    Args:
        link: To who asks.
    """

    def __init__(self, link: Link) -> None:
        self._link, self._here = link, Here()
        self._predictors: dict[int, Predictor] = {}
        self._numbers = count(1)
        self._digests: WeakKeyDictionary[SharedTokenizer, str] = WeakKeyDictionary()
        self._tokenizers: WeakValueDictionary[str, SharedTokenizer] = WeakValueDictionary()
        self._answers: dict[str, Callable[[Message], Message]] = {
            "open": self._open, "load": self._load, "tokenizer": self._tokenizer,
            "compute": self._compute,
        }  # fmt: skip

    def run(self) -> None:
        """Answer until nobody asks any more: EOFError."""
        # One thread computes, as torch keeps threads for each that does.
        computing, loading = ThreadPoolExecutor(1), ThreadPoolExecutor(_LOADING)
        while True:
            message = self._link.receive()
            for number in message.head.get("forget", ()):
                self._predictors.pop(number, None)
            threads = computing if message.head["do"] == "compute" else loading
            threads.submit(self._answer, message)

    def _answer(self, message: Message) -> None:
        try:
            answer = self._answers[message.head["do"]](message)
        except LoraBertError as error:
            said = {"kind": type(error).__name__, "message": str(error), "hint": error.hint}
            answer = Message({"error": said})
        except Exception as error:  # noqa: BLE001 - who asks says what it was, and goes on
            kind = MemoryError.__name__ if is_out_of_memory(error) else ""
            answer = Message({"error": {"kind": kind, "message": traceback.format_exc()}})
        self._link.send(Message({**answer.head, "number": message.head["number"]}, answer.arrays))

    def _open(self, message: Message) -> Message:
        self._base = self._here.open(DirectoryConfig(**message.head["config"]))
        return Message({"name": self._base.name})

    def _load(self, message: Message) -> Message:
        load = self._base.verified if message.head["verify"] else self._base.load
        predictor = load(Path(message.head["place"]), message.head["labels"])
        engine, number = predictor.engine, next(self._numbers)
        self._predictors[number] = predictor
        return Message({
            "adapter": number, "manifest": predictor.manifest.to_json(),
            "places": [str(place) for place in predictor.places],
            "tokenizer": self._described(predictor.tokenizer),
            "engine": {"outputs": engine.outputs, "of_tokens": engine.of_tokens,
                       "own_bytes": int(getattr(engine, "own_bytes", 0)), "said": str(engine)},
        })  # fmt: skip

    def _described(self, tokenizer: TextTokenizer) -> Mapping[str, Any]:
        shared = tokenizer.shared
        if (digest := self._digests.get(shared)) is None:
            digest = self._digests[shared] = tokenizer.fingerprint
        self._tokenizers[digest] = shared
        own = {each.name: getattr(tokenizer, each.name) for each in fields(tokenizer)}
        return {**own, "shared": digest}

    def _tokenizer(self, message: Message) -> Message:
        written = self._tokenizers[message.head["digest"]].written
        return Message({}, [np.frombuffer(written.encode(), np.uint8)])

    def _compute(self, message: Message) -> Message:
        outputs = self._here.compute(unpacked(message.arrays, self._predictors.__getitem__))
        return Message({}, [np.concatenate([each.ravel() for each in outputs])])


class _Passed(logging.Handler):
    """Has who asks write what is to be written."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link

    def emit(self, record: logging.LogRecord) -> None:
        said = {"logger": record.name, "level": record.levelno, "text": record.getMessage()}
        self._link.send(Message(said))


def main() -> None:
    """Run it, on the pipes that it was started with."""
    # It ends when who started it has finished, which kept them from it where a system can.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    link = Link(os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)  # whatever else is printed is no message
    sys.stdin.close()
    logger = logging.getLogger("lora_bert")
    logger.handlers, logger.propagate = [_Passed(link)], False
    logger.setLevel(logging.INFO)
    try:
        ComputeProcess(link).run()
    except (EOFError, OSError):
        os._exit(0)  # a thread may compute, for nobody, and torch would abort
