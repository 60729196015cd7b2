"""The addresses of live sources, among the entries of a list of videos."""

import urllib.parse

from lofi_jax.data import video_ids

STDIN = "-"
DEVICES = "/dev/"


def is_live(address: str) -> bool:
    """Whether an entry of a list of videos is a source of this kind.

    >>> [is_live(x) for x in ("-", "rtsp://camera/1", "/dev/video0", "clips/a.mp4")]
    [True, True, True, False]
    """
    return address == STDIN or "://" in address or address.startswith(DEVICES)


def name_of(address: str) -> str:
    """The video's id.

    >>> name_of("-"), name_of("rtsp://camera:554/hall"), name_of("http://host/v_a.ts?x=1")
    ('stdin', 'hall', 'a')
    """
    if address == STDIN:
        return "stdin"
    parts = urllib.parse.urlsplit(address)
    return video_ids.of_file(parts.path) or parts.hostname or address
