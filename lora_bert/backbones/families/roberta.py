"""RoBERTa, and XLM-RoBERTa and CamemBERT, which differ in their names alone."""

from __future__ import annotations

from dataclasses import replace

from lora_bert.backbones.families.bert import BERT
from lora_bert.backbones.families.family import HeadRules
from lora_bert.backbones.layout import HeadLayout

SPLIT_HEAD = HeadLayout("classifier.dense", "classifier.out_proj", modules=("classifier",))
"""A head that stands outside the encoder as a whole."""

ROBERTA = replace(
    BERT,
    model_type="roberta",
    architecture="RobertaForSequenceClassification",
    layout=replace(BERT.layout, prefix="roberta.", head=SPLIT_HEAD),
    head=HeadRules(input_dropout=HeadRules.dropout),
    position_offset=True,
    defaults={**BERT.defaults, "pad_token_id": 1},
)
XLM_ROBERTA = replace(
    ROBERTA, model_type="xlm-roberta", architecture="XLMRobertaForSequenceClassification"
)
CAMEMBERT = replace(
    ROBERTA, model_type="camembert", architecture="CamembertForSequenceClassification"
)
