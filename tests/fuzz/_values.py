"""What a mutation puts in the place of what was right."""

from random import Random

NUMBERS = (
    "0", "-1", "1", "2", "3", "7", "8", "9", "32", "127", "128", "255", "256", "-128", "1.5",
    "-0.0", "1e308", "-1e308", "1e999", "1e-320", "2147483647", "4294967296", "9223372036854775807",
    "9223372036854775808", "-9223372036854775809", "18446744073709551616", "1" + "0" * 400,
    "9" * 5000, "NaN", "Infinity", "-Infinity", "0x10", "1_000", "١٢",
)  # fmt: skip
TEXTS = (
    '""', '"x"', '"a:b"', '"os:system"', '"../mine.py"', '"\\u0000"', '"\\ud800"', '"nan"', '"\\n"',
    '"é\\u202e"', '"' + "long " * 500 + '"', '"2"', '"conv1"', '"%s{}"',
)  # fmt: skip
CONTAINERS = (
    "[]", "{}", "[[]]", "[1,2,3]", '{"a":1}', "[" * 400 + "]" * 400, "[" * 3000 + "]" * 3000,
    '{"a":' * 300 + "1" + "}" * 300, "[" + "0," * 300 + "0]",
)  # fmt: skip
OTHERS = ("true", "false", "null", "", "undefined")


def json_value(random: Random) -> str:
    """Give a piece of JSON, or something that is nearly one."""
    kind = random.choices((NUMBERS, TEXTS, CONTAINERS, OTHERS), (5, 2, 1, 2))[0]
    return random.choice(kind)


def number_bytes(random: Random) -> bytes:
    """Give a number as binary formats hold them."""
    size = random.choice((1, 2, 4, 8))
    value = random.choice((0, 1, 2**7, 2**8 - 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1))
    return (value % 2 ** (8 * size)).to_bytes(size, random.choice(("little", "big")))
