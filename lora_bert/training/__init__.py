"""Training: prepare, fit, finish; the loop and its checkpoints."""
