"""Pickles, looked through before Python's own reader takes memory for what they claim."""

import pickletools


def check(content: bytes) -> None:
    """Checks that a pickle is whole, and numbers no more objects than it can hold: the reader makes
    room for all below the highest number.

    Raises:
        Exception: it is damaged; what that leads to has no one type.
    """
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name.endswith("PUT") and int(argument or 0) > len(content):
            raise ValueError(f"an object numbered {argument}")
