"""How ``transformers`` names the tensors of a family's sequence classifier.

Names are those of the state dict, without ``.weight`` and ``.bias``. What a family computes with
the tensors stands in :class:`~lora_bert.backbones.config.EncoderConfig`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ATTENTION_SLOTS = frozenset(
    {"query", "key", "value", "query_key_value", "position_key", "position_query"}
    | {"attention_output"}
)
"""Linear layers of :attr:`Layout.linears` that belong to the attention."""


OF_TOKENS = ("TokenClassification", "QuestionAnswering")
"""What ``transformers`` calls models whose head reads every token."""


@dataclass(frozen=True)
class HeadLayout:
    """The names of a classification head's layers; they include the encoder's prefix, if any.

    Attributes:
        dense: The hidden dense layer, ``[hidden, hidden]``, or "".
        output: The last layer, ``[labels, hidden]``.
        modules: What PEFT must save whole (``modules_to_save``): suffixes of module names.
        norm: A layer norm between the two, or "".
    """

    dense: str
    output: str = "classifier"
    modules: tuple[str, ...] = ("pooler", "classifier")
    norm: str = ""

    def __post_init__(self) -> None:
        """Check that PEFT would save every layer of the head.

        Raises:
            ValueError: ``modules`` leaves one out.
        """
        for name in self.parts:
            parts = name.split(".")
            above = {".".join(parts[:end]) for end in range(1, len(parts) + 1)}
            if not any(path.endswith(self.modules) for path in above):
                raise ValueError(f"the head's modules {self.modules} leave out its layer '{name}'")

    @property
    def parts(self) -> tuple[str, ...]:
        """The layers that it has, in their order."""
        return tuple(filter(None, (self.dense, self.norm, self.output)))


@dataclass(frozen=True)
class Layout:
    """The names of an encoder's tensors. A path is below the prefix; "" says: there is none.

    Attributes:
        prefix: Where the encoder stands inside the sequence classifier, with its dot.
        layer: Path of layer ``{}``.
        linears: Slot -> path below the layer, in the order of the computation. The slots are
            ``query``, ``key`` and ``value`` (or ``query_key_value``), ``attention_output``,
            ``intermediate`` and ``output``; ``position_key`` and ``position_query`` where relative
            positions have projections of their own.
        norms: ``attention`` and ``output`` -> path below the layer.
        task_embeddings: Path of embeddings of which the first row is added to every token (ERNIE).
        projection: Path of a linear layer from the embeddings' width to the hidden one.
        relative: Path of a table of relative positions: of numbers a head, added to the scores
            (MPNet), or of embeddings that meet queries and keys (DeBERTa).
        relative_norm: Path of the layer norm of such embeddings.
        convolution: Path of a convolution beside the first layer (DeBERTa).
        final_norm: Path of a norm after the last layer.
        layers_per_group: How many layers in a row are one and the same; 1: none.
        token_head: The head of the family's token classifier; None: ``transformers`` has none.
        answer_head: The same of its class for question answering.
    """

    prefix: str
    layer: str
    linears: Mapping[str, str]
    norms: Mapping[str, str]
    word_embeddings: str
    embedding_norm: str
    head: HeadLayout
    position_embeddings: str = ""
    token_type_embeddings: str = ""
    task_embeddings: str = ""
    projection: str = ""
    relative: str = ""
    relative_norm: str = ""
    convolution: str = ""
    final_norm: str = ""
    layers_per_group: float = 1
    token_head: HeadLayout | None = HeadLayout("", modules=("classifier",))
    answer_head: HeadLayout | None = HeadLayout("", output="qa_outputs", modules=("qa_outputs",))

    def head_of(self, kind: str) -> HeadLayout | None:
        """The head of the family's class of that kind, such as ``TokenClassification``."""
        return dict(zip(OF_TOKENS, (self.token_head, self.answer_head), strict=True))[kind]

    def layer_path(self, layer: int) -> str:
        """Path of a layer below the prefix."""
        return self.layer.format(int(layer / self.layers_per_group))

    def module(self, layer: int, slot: str) -> str:
        """Full name of a linear module."""
        return f"{self.prefix}{self.layer_path(layer)}.{self.linears[slot]}"
