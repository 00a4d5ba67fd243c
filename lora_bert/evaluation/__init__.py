"""Judging: metrics, intervals, baseline, plots."""
