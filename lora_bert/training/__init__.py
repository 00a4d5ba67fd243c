"""Turning the crank: the loop, the schedule, the run."""
