"""The parts of a data set: their names, and their order wherever one of them is looked for."""

PARTS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "eval"),
    "test": ("test", "testing"),
}
"""The parts of a data set and what their files are called."""

DATA_OPTIONS = ("data", *PARTS)
"""The options that name data: a whole data set, or the files of a part."""

JUDGED_FIRST = ("test", "validation", "train")
"""The order in which a part is looked for to score or to predict."""
