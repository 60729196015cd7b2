"""A checksum behind a file's content, which tells that a bit of it has changed since. Who reads the
content alone, as np.load does, never meets it.
"""

import pathlib
import zlib

from lofi_jax.files import regular

_BYTES = 4


def sealed(content: bytes) -> bytes:
    """The content and its CRC-32.

    >>> sealed(b"abc")
    b'abc5$A\\xc2'
    """
    return content + zlib.crc32(content).to_bytes(_BYTES, "big")


def read_sealed(path: pathlib.Path, most: int) -> bytes:
    """The content of a file of `sealed`, of at most `most` bytes.

    Raises:
        OSError: no such file.
        ValueError: it is larger, or not as it was written.
    """
    if regular(path).st_size > most + _BYTES:
        raise ValueError(f"over {most} bytes")
    content = path.read_bytes()
    if sealed(content[:-_BYTES]) != content:
        raise ValueError("not as it was written")
    return content[:-_BYTES]
