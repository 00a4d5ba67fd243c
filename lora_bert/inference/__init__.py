"""Answering: sessions, predictors and their engines, files in and out, verifying."""
