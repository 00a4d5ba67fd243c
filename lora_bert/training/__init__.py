"""The run, the loop, its checkpoints."""
