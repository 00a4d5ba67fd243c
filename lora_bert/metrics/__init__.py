"""Figures of right and wrong answers, in numpy: no task, no model, no files."""
