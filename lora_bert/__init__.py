"""LoRA adapters for BERT-family text classifiers."""
