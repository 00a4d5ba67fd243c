"""The options of ``serve``."""

from __future__ import annotations

from dataclasses import dataclass

from lora_bert.config.shared import Computing
from lora_bert.options import option


@dataclass(frozen=True)
class ServeConfig(Computing):
    """The options of ``serve``."""

    directory: str = option(
        "", "Holds a directory for each adapter, which is called as that.", positional=True,
        metavar="ADAPTERS",
    )  # fmt: skip
    backbone: str | None = option(
        None, "Their backbone (default: what the first of them needs).", metavar="DIR"
    )
    default: str | None = option(
        None,
        "Adapter of requests that name none. Without it they are refused where there are several.",
        metavar="NAME",
    )
    memory: float | None = option(
        None,
        "Gigabytes that adapters may take (default: any number); beyond it those that were asked "
        "longest ago are let go, and read again when they are asked.",
        minimum=0,
        metavar="GB",
    )
    pinned: str | None = option(
        None, "Names of adapters that are loaded at once and stay.", metavar="NAME,…", form="list"
    )
    host: str = option(
        "127.0.0.1", "Address to listen on; 0.0.0.0: all of this machine's.", metavar="ADDRESS"
    )
    port: int = option(
        8080, "Port to listen on; 0: one that is free.", metavar="N", minimum=0, maximum=65535
    )
    allowed_host: tuple[str, ...] = option(
        (),
        "Name by which clients may call the server, beside localhost and addresses in numbers; * "
        "for any. May be repeated.",
        metavar="NAME",
    )
    api_key: str | None = option(
        None,
        "What requests must bear; better in $LORA_BERT_API_KEY, which nobody sees in a list of "
        "processes.",
        metavar="KEY",
    )
    admin_token: str | None = option(
        None,
        "What loads and unloads adapters by request; better in $LORA_BERT_ADMIN_TOKEN. Without it "
        "no request does.",
        metavar="TOKEN",
    )
    batch_tokens: int = option(
        8192, "Tokens of a batch; whoever asks meanwhile waits for it.", minimum=1, metavar="N"
    )
    max_wait_ms: float = option(
        1.0,
        "Milliseconds that a text waits for others to be computed with; behind a batch of several "
        "up to a quarter of what that took. 0: none waits.",
        minimum=0,
        metavar="MS",
    )
    queue_tokens: int = option(
        32768, "Tokens that may wait; beyond it requests are answered with 429.", minimum=1,
        metavar="N",
    )  # fmt: skip
    queue_seconds: float = option(
        0.4,
        "Seconds of computing that may stand before an answer; beyond it requests are answered "
        "with 429. One that takes a fifth of that itself may wait ten times as long as it takes.",
        minimum=0, exclusive=True, metavar="S",
    )  # fmt: skip
    answer_cache: float = option(
        0.0,
        "Megabytes of answers to keep for texts that are asked again; those that were asked "
        "longest ago are let go. 0: none is kept.",
        minimum=0,
        metavar="MB",
    )
    max_requests: int = option(
        512, "Requests at once; beyond it they are answered with 429.", minimum=1, metavar="N"
    )
    max_texts: int = option(
        256, "Texts of a request, those for each adapter counted.", minimum=1, metavar="N"
    )
    max_body: float = option(
        2.0, "Megabytes of a request.", minimum=0, exclusive=True, metavar="MB"
    )
    timeout: float = option(
        30.0, "Seconds that a request waits for its answer, and shutting down for requests.",
        minimum=0, exclusive=True, metavar="S",
    )  # fmt: skip
    truncate: bool = option(
        True,
        "Cut texts that are too long where a request does not say; --no-truncate refuses them.",
    )
