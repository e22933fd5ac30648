"""Measuring how well proxies rank the configurations of a bench."""
