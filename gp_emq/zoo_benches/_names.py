"""What extending a bench may be asked for."""

NEIGHBOURS = 1
"""Of each plan, unless the user chooses otherwise."""
