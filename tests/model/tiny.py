"""Tiny random classifiers of every family, made by ``transformers`` itself: the oracle."""

from __future__ import annotations

from typing import Any

import torch
import transformers

SIZES: dict[str, Any] = {
    "vocab_size": 120,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 200,
}


def tiny_classifier(model_type: str, labels: int = 3, **extra: Any) -> Any:
    """A ``transformers`` sequence classifier with random weights, in evaluation mode."""
    sizes = dict(SIZES)
    if model_type == "distilbert":
        sizes = {
            "vocab_size": 120,
            "dim": 32,
            "n_layers": 4,
            "n_heads": 4,
            "hidden_dim": 48,
            "max_position_embeddings": 200,
        }
    if model_type == "modernbert":
        sizes |= {"pad_token_id": 0, "local_attention": 8, "bos_token_id": 1, "eos_token_id": 2}
        sizes |= {"cls_token_id": 1, "sep_token_id": 2}
    config = transformers.AutoConfig.for_model(model_type, **sizes, num_labels=labels, **extra)
    torch.manual_seed(0)
    model = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter) * 0.1
            parameter.copy_(parameter + noise if "orm" in name else noise)
    return model
