"""Files and names become examples and splits (no torch here)."""
