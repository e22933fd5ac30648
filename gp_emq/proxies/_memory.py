"""What an evaluator may take of the machine's memory unless a user says otherwise."""

DEFAULT_MEMORY = 2**30
"""How many bytes of full tensors an evaluator may keep beside the statistics themselves."""
