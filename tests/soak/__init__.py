"""Commands that are killed at random moments: `python -m tests.soak`."""
