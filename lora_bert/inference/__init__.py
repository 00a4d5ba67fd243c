"""Answering: batches, the predictor, streaming files, merging."""
