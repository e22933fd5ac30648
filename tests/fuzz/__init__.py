"""A fuzzer of every kind of file that a user can hand in: `python -m tests.fuzz`."""
