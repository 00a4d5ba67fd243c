"""Judging: which rows, what they showed, the baseline to beat, reports and plots."""
