"""Tiny random models of every family, made by ``transformers`` itself: fast, and the oracle."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from lora_bert.backbones.config import EncoderConfig
from lora_bert.backbones.families.registry import encoder_config
from lora_bert.backbones.mean_layer import settings_with_mean_layer, with_mean_layer

FAMILIES = (
    "bert", "roberta", "distilbert", "modernbert", "xlm-roberta", "electra", "albert", "deberta-v2",
    "mpnet", "camembert", "ernie", "roformer",
)  # fmt: skip
SPLIT = tuple(family for family in FAMILIES if family != "albert")
"""Those of which some layers can be adapted alone."""
MEAN = tuple(family for family in FAMILIES if family not in ("albert", "mpnet"))
"""Those whose heads can read the mean of a text's tokens."""
ADDED = tuple(family for family in MEAN if family != "modernbert")
"""Those to whose merged models a layer is added for that."""
WORDS = "good bad fine awful tasty cold hot slow fast late".split()
CHARACTERS = [*string.ascii_lowercase, *string.digits, *"很好吃太慢了差快味道送餐"]
# Padding is not id 0: nothing may assume that it is.
SPECIAL = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"]
VOCABULARY = [*SPECIAL, *WORDS, *CHARACTERS, *(f"##{letter}" for letter in string.ascii_lowercase)]

_COMMON: dict[str, Any] = {
    "vocab_size": len(VOCABULARY),
    "pad_token_id": 1,
    "max_position_embeddings": 130,
}
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
_OWN: dict[str, dict[str, Any]] = {
    "bert": SIZES,
    "roberta": SIZES | {"type_vocab_size": 1},
    "distilbert": {"dim": 32, "n_layers": 4, "n_heads": 4, "hidden_dim": 48},
    "xlm-roberta": SIZES | {"type_vocab_size": 1},
    "camembert": SIZES | {"type_vocab_size": 1},
    "electra": SIZES | {"embedding_size": 16},
    "albert": SIZES | {"embedding_size": 16},
    "ernie": SIZES | {"use_task_id": True},
    "mpnet": SIZES,
    "roformer": SIZES | {"embedding_size": 16},
    # As DeBERTa-v3 has it, but with so few buckets that short texts need the logarithmic ones.
    "deberta-v2": SIZES
    | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "share_att_key": True}
    | {"position_buckets": 8, "norm_rel_ebd": "layer_norm", "position_biased_input": False},
    "modernbert": SIZES
    | {"local_attention": 8, "bos_token_id": 0, "eos_token_id": 2, "cls_token_id": 0}
    | {"sep_token_id": 2},
}


def tiny_config(model_type: str = "bert", **extra: Any) -> EncoderConfig:
    """The encoder of a tiny classifier, as our code has it."""
    sizes = _COMMON | _OWN[model_type] | extra
    return encoder_config(transformers.AutoConfig.for_model(model_type, **sizes).to_dict())


def tiny_classifier(model_type: str, labels: int = 3, **extra: Any) -> Any:
    """A ``transformers`` sequence classifier with random weights, in evaluation mode."""
    sizes = _COMMON | _OWN[model_type] | extra
    config = transformers.AutoConfig.for_model(model_type, num_labels=labels, **sizes)
    torch.manual_seed(0)
    model = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "embed_positions" in name:  # RoFormer's sines: a formula, not a weight
                continue
            noise = torch.randn_like(parameter) * 0.1
            parameter.copy_(parameter + noise if "orm" in name else noise)
    return model


def with_mean_layer_added(model: Any, dtype: torch.dtype = torch.float32, **options: Any) -> Any:
    """A ``transformers`` classifier with one layer more, which makes the mean of the tokens."""
    config = encoder_config(model.config.to_dict())
    settings = model.config.to_dict() | settings_with_mean_layer(config)
    deeper = transformers.AutoModelForSequenceClassification.from_config(
        transformers.AutoConfig.for_model(**settings), **options
    )
    deeper.load_state_dict(with_mean_layer(model.state_dict(), config))
    return deeper.eval().to(dtype)


def write_backbone(directory: Path, model_type: str = "bert", **extra: Any) -> Path:
    """Save the encoder of a tiny classifier with a tokenizer, as a hub download would lie there."""
    model = tiny_classifier(model_type, **extra)
    model.base_model.save_pretrained(directory)
    core = Tokenizer(
        models.WordPiece({word: index for index, word in enumerate(VOCABULARY)}, unk_token="[UNK]")
    )
    core.normalizer = normalizers.BertNormalizer()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 0), ("[SEP]", 2)],
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=core,
        cls_token="[CLS]",
        pad_token="[PAD]",
        sep_token="[SEP]",
        unk_token="[UNK]",
        mask_token="[MASK]",
        model_max_length=128,
    ).save_pretrained(directory)
    return directory
