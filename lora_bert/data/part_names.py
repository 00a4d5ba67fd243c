"""What the parts of a data set are called."""

PARTS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "eval"),
    "test": ("test", "testing"),
}
"""The parts of a data set and what their files are called."""
