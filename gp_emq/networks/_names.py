"""What sizes may be counted by."""

ACCOUNTINGS = ("published", "stored")
"""See `size_table`."""
