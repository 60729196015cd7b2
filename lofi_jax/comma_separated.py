"""Comma-separated lists, as written on a command line."""


def names(comma_separated: str) -> tuple[str, ...]:
    """The entries of a comma-separated value.

    >>> names("acp, lofi:temporal/bmn,")
    ('acp', 'lofi:temporal/bmn')
    """
    return tuple(name.strip() for name in comma_separated.split(",") if name.strip())
