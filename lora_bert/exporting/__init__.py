"""Other forms of a classifier: merged models, graphs for engines, eight bits."""
