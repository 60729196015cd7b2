"""The viewer as a part of a page: its script, its style and its data, all within the page."""

import base64
import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

_FOLDER = pathlib.Path(__file__).parent

STYLE = (_FOLDER / "viewer.css").read_text(encoding="utf-8")

# One program in files of one idea each, in the order in which they build on one another. Modules
# would be refused where a page is opened from the disk.
_SCRIPTS = ("elements", "filters", "lanes", "timeline", "player", "lists", "viewer")
SCRIPT = '"use strict";\n' + "\n".join(
    (_FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in _SCRIPTS
)

# Only this very script may run, whatever the data hold; nothing is fetched but videos and images.
_HASH = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; script-src 'sha256-{_HASH}'; style-src 'unsafe-inline'; "
    "img-src data:; media-src 'self' file:; base-uri 'none'; form-action 'none'"
)


def viewer(data: Mapping[str, Any]) -> str:
    """The part of a page that shows `data`; one a page.

    Args:
        data: from `results.side_by_side`, and in each video also "file", its address seen from the
            page or None, and "note", what is to be said of it or "".
    """
    return (
        '<div id="viewer" class="viewer"><noscript>This page needs JavaScript.</noscript></div>\n'
        f'<script type="application/json" id="viewer-data">{as_script(data)}</script>\n'
        f"<script>{SCRIPT}</script>"
    )


def as_script(data: Any) -> str:
    """JSON that nothing in it can end: within a script element a browser looks for "<" alone."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
