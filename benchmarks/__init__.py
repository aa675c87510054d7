"""What the product costs, measured beside a baseline in the same run: ``python -m benchmarks``."""
