"""Our encoder against ``transformers``' own, in float32."""

from __future__ import annotations

import pytest
import torch

from lora_bert.backbones.families.registry import encoder_config
from lora_bert.model.adapter import Adapter
from lora_bert.model.builder import build_backbone
from lora_bert.model.forward import logits
from tests.oracle import Batch
from tests.tiny import FAMILIES, tiny_classifier

ABSOLUTE = {"position_biased_input": True}
CASES = [(family, {}) for family in FAMILIES]
CASES += [("modernbert", {"classifier_pooling": "mean"}), ("modernbert", {"classifier_bias": True})]
CASES += [
    ("albert", {"num_hidden_groups": 2}),
    ("electra", {"embedding_size": 32}),
    ("roformer", {"rotary_value": True, "embedding_size": 32}),
    ("ernie", {"use_task_id": False}),
]
# DeBERTa-v2-xlarge's convolution; keys and queries of positions of their own; only one of the two;
# distances as they are; absolute positions too; none but these; narrow embeddings.
CASES += [
    ("deberta-v2", {"conv_kernel_size": 3, "conv_act": "gelu"}),
    ("deberta-v2", {"share_att_key": False, "norm_rel_ebd": "none"}),
    ("deberta-v2", {"share_att_key": False, "pos_att_type": ["c2p"]}),
    ("deberta-v2", {"pos_att_type": "p2c", "position_buckets": -1}),
    ("deberta-v2", {"max_relative_positions": 12, "position_buckets": -1}),
    ("deberta-v2", {"position_biased_input": True, "type_vocab_size": 2}),
    ("deberta-v2", {"relative_attention": False, "pos_att_type": [], **ABSOLUTE}),
    ("deberta-v2", {"embedding_size": 16}),
]


@pytest.mark.parametrize(("model_type", "extra"), CASES)
def test_logits_equal_transformers(model_type, extra):
    model = tiny_classifier(model_type, **extra)
    config = model.config.to_dict()
    backbone = build_backbone(model.state_dict(), encoder_config(config))
    padding = config["pad_token_id"]
    ids = torch.randint(3, 60, (5, 40), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(40)[None] < torch.tensor([40, 1, 7, 33, 20])[:, None]
    ids = ids.masked_fill(~mask, padding)
    pooling = backbone.config.head.pooling
    adapter = Adapter({}, backbone.pretrained_head, depth=2, pooling=pooling)
    ours = logits(backbone, Batch(ids, mask, None, padding).tokens, adapter)
    with torch.no_grad():
        theirs = model(input_ids=ids, attention_mask=mask.long()).logits
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
