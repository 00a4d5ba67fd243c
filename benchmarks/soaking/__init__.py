"""What ``python -m benchmarks soak`` is made of."""
