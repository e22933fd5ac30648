"""All commands as one: ``python -m gp_emq run --gens 100``."""

from gp_emq.cli import console

if __name__ == "__main__":
    console()
