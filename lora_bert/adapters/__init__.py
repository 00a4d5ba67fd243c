"""The adapter directory: write, read, check, describe; and folding LoRA into weights."""
