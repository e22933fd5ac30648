"""All commands' parsers, for tests that hold every option to something."""

import argparse
import importlib
from collections.abc import Iterator
from unittest import mock

COMMANDS = {
    "gp_emq.run": (),
    "gp_emq.rank": (),
    "gp_emq.ablate": ("--config", "no such study"),
    "gp_emq.bench": ("list",),
    "gp_emq.allocate": ("--proxy", "fit"),
    "gp_emq.profile": (),
    "gp_emq.quantize": (),
    "gp_emq.qat.__main__": (),
    "gp_emq.networks.train_digits": (),
    "gp_emq.networks.train_zoo": (),
    "gp_emq.watch": ("run",),
    "analysis.convergence": ("run",),
    "analysis.correlation": ("run",),
    "analysis.genealogy": ("run",),
    "analysis.report": ("run",),
}
"""Modules of commands, with arguments that their parsers take."""


class _TakenError(Exception):
    """Carries a parser out of the command that made it."""


def parser_of(module: str) -> argparse.ArgumentParser:
    """Give the parser that a command makes, without running it."""
    command = importlib.import_module(module)
    taken: list[argparse.ArgumentParser] = []

    def take(self, args=None, namespace=None):
        if self.prog.startswith("python -m"):
            taken.append(self)
            raise _TakenError
        return plain(self, args, namespace)

    plain = argparse.ArgumentParser.parse_args
    with mock.patch("argparse.ArgumentParser.parse_args", take):
        try:
            command.main(list(COMMANDS.get(module, ())))
        except _TakenError:
            return taken[0]
    raise AssertionError(f"{module} parses nothing")


def actions_of(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    """Give every option of a parser and its sub-commands, with the words that lead to it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                for words, found in actions_of(sub):
                    yield f"{name} {words}".strip(), found
        else:
            yield "", action


def every_option() -> list[tuple[str, str, argparse.Action]]:
    """Give module, sub-command and action of every option there is."""
    return [
        (module, words, action)
        for module in COMMANDS
        for words, action in actions_of(parser_of(module))
    ]
