"""The protocols: one file each, which knows its paths, its bodies and its errors, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lora_bert.serving.operations import Protocol


def every() -> list[Protocol]:
    """All of them."""
    from lora_bert.serving.protocols.admin import ADMIN
    from lora_bert.serving.protocols.hub_tasks import HUB_TASKS
    from lora_bert.serving.protocols.kserve import KSERVE
    from lora_bert.serving.protocols.own import OWN
    from lora_bert.serving.protocols.tei import TEI
    from lora_bert.serving.protocols.vllm import VLLM

    return [OWN, TEI, VLLM, HUB_TASKS, KSERVE, ADMIN]
