"""What the market can do on this machine, as ratios: `python -m benchmarks`, or `python -m benchmarks NAME …` for some.

Each row alternates between two ways of running the same orders and compares their medians, so that a noisy machine
disturbs both. README.md tells what each row measures, and what it gave.
"""
