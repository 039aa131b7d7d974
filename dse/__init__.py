"""Design-space exploration of pruned, quantized CNNs for FPGAs: search, cost, report, deploy."""

__version__ = "0.1.0"
