"""Which functions feed and judge a network."""

import hashlib
from types import CodeType


def sha256_of_functions(*functions: object) -> str:
    """Return the sha256 of names and byte code of functions, in hexadecimal."""
    digest = hashlib.sha256()
    for function in functions:
        name = getattr(function, "__qualname__", type(function).__qualname__)
        digest.update(f"{getattr(function, '__module__', '')}:{name}\n".encode())
        code = getattr(function, "__code__", None)
        if isinstance(code, CodeType):
            digest.update(code.co_code + repr(code.co_names).encode())
            plain = [one for one in code.co_consts if not isinstance(one, CodeType)]
            digest.update(repr(plain).encode())
    return digest.hexdigest()
