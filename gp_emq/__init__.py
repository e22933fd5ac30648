"""Evolving training-free proxies for mixed-precision quantization, on DEAP."""

__version__ = "0.1.0"
