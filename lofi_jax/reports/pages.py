"""A single HTML file that works offline: texts and tables."""

import html
from collections.abc import Sequence

_STYLE = """
:root { color-scheme: light dark;
  --page: #fff; --raised: #f6f7f9; --line: #d8dce2; --ink: #1c2127; --quiet: #5d6672;
  --accent: #0b62a8; }
@media (prefers-color-scheme: dark) { :root {
  --page: #14171b; --raised: #1d2126; --line: #363c45; --ink: #e8eaed; --quiet: #a0a8b3;
  --accent: #6cb6f5; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
body:has(.viewer) { max-width: 96rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; }
h3 { font-size: 1rem; margin: 1rem 0 .25rem; }
h2 { font-size: 1.15rem; margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
a { color: var(--accent); }
ul { margin: .25rem 0; padding-left: 1.2rem; }
img { max-width: 100%; height: auto; display: block; margin: 1rem 0; background: #fff; }
.wide { overflow-x: auto; overflow-wrap: normal; }
@media screen { .wide img { max-width: none; } }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .8rem; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
td { white-space: nowrap; }
"""


def page(title: str, parts: Sequence[str], style: str = "", policy: str = "") -> str:
    """The whole page, of parts that the functions below make.

    Args:
        style: CSS that the parts need besides.
        policy: a Content-Security-Policy; empty: none.
    """
    guard = '<meta http-equiv="Content-Security-Policy" content="{}">\n'
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        + (guard.format(html.escape(policy)) if policy else "")
        + '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n"
        f"<h1>{html.escape(title)}</h1>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


def heading(text: str) -> str:
    """The title of a section."""
    return f"<h2>{html.escape(text)}</h2>"


def subheading(text: str) -> str:
    """The title of a part of a section."""
    return f"<h3>{html.escape(text)}</h3>"


def links(rows: Sequence[tuple[str, str]]) -> str:
    """A list of texts that lead to addresses; "none" where it is empty."""
    if not rows:
        return paragraph("none")
    lines = (f'<li><a href="{html.escape(to)}">{html.escape(text)}</a></li>' for text, to in rows)
    return "<ul>\n" + "\n".join(lines) + "\n</ul>"


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{html.escape(text)}</p>"


def table(rows: Sequence[Sequence[str]]) -> str:
    """A table whose first row is its head."""

    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    head, *body = rows
    lines = "\n".join(line(cells, "td") for cells in body)
    rows_of = f"<thead>{line(head, 'th')}</thead>\n<tbody>\n{lines}\n</tbody>"
    return f'<div class="wide"><table>\n{rows_of}\n</table></div>'
