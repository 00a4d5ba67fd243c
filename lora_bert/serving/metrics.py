"""What the server counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lora_bert.serving.scheduler import Batch

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Counters in a registry of their own.

    Args:
        budget: Tokens of a full batch.
    """

    def __init__(self, budget: int) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry, self._budget = CollectorRegistry(), budget
        own: dict[str, Any] = {"registry": self.registry, "namespace": "lora_bert"}
        self._requests = Counter(
            "requests", "Requests by protocol and status.", ("protocol", "status"), **own
        )
        self._seconds = Histogram(
            "request_seconds", "From the request's last byte to the answer.", ("adapter",),
            buckets=_SECONDS, **own,
        )  # fmt: skip
        self._rows = Counter("rows", "Texts or pairs that were asked.", ("adapter",), **own)
        self._tokens = Counter("tokens", "Their tokens.", ("adapter",), **own)
        self._batches = Counter("batches", "Batches that were computed.", **own)
        self._computed_rows = Counter(
            "computed_rows", "Rows that were computed; equal ones in flight count once.", **own
        )
        self._computed_tokens = Counter("computed_tokens", "Their tokens.", **own)
        self._computing = Counter("computing_seconds", "Seconds of computing.", **own)
        self._waited = Histogram(
            "queue_seconds", "What the oldest row of a batch had waited.", buckets=_SECONDS, **own
        )
        self._fill = Histogram(
            "batch_fill", "Tokens of a batch as a share of --batch-tokens.",
            buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0), **own,
        )  # fmt: skip
        self._hits = Counter("cache_hits", "Rows that --answer-cache had the answer of.", **own)
        self._in_flight = Gauge("requests_in_flight", "Requests being answered.", **own)

    def watch(
        self, waiting: Callable[[], tuple[int, int]], loaded: Callable[[], int],
        kept: Callable[[], int],
    ) -> None:  # fmt: skip
        """Show what waits, rows and tokens, how many adapters are in memory, bytes of answers."""
        from prometheus_client import Gauge

        own: dict[str, Any] = {"registry": self.registry, "namespace": "lora_bert"}
        gauges = (
            ("queue_rows", "Rows that wait.", lambda: waiting()[0]),
            ("queue_tokens", "Their tokens.", lambda: waiting()[1]),
            ("loaded_adapters", "Adapters in memory.", loaded),
            ("cache_bytes", "What the answers of --answer-cache take.", kept),
        )
        for name, what, function in gauges:
            Gauge(name, what, **own).set_function(function)

    def began(self) -> None:
        """Count a request in."""
        self._in_flight.inc()

    def ended(self, protocol: str, status: int, adapter: str, seconds: float) -> None:
        """Count a request out; ``adapter`` is "" where none answered it."""
        self._in_flight.dec()
        self._requests.labels(protocol, str(status)).inc()
        if adapter:
            self._seconds.labels(adapter).observe(seconds)

    def asked(self, adapter: str, rows: int, tokens: int) -> None:
        """Count what an adapter was asked and has answered."""
        self._rows.labels(adapter).inc(rows)
        self._tokens.labels(adapter).inc(tokens)

    def hit(self) -> None:
        """Count a row whose answer was kept."""
        self._hits.inc()

    def computed(self, batch: Batch) -> None:
        """Count a batch."""
        self._batches.inc()
        self._computed_rows.inc(batch.rows)
        self._computed_tokens.inc(batch.tokens)
        self._computing.inc(batch.seconds)
        self._waited.observe(batch.waited)
        self._fill.observe(min(1.0, batch.tokens / self._budget))

    def text(self) -> bytes:
        """All of it as Prometheus reads it."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)
