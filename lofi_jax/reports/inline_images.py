"""Plots within a page, so that it stays a single file."""

import base64
import html
import io

from matplotlib.figure import Figure


def image(figure: Figure, description: str) -> str:
    """An image, within the page, in its own size: a narrow screen scrolls over it.

    Args:
        figure: what it shows.
        description: for those who cannot see it.
    """
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=110)
    data = base64.b64encode(png.getvalue()).decode()
    shown = f'<img alt="{html.escape(description)}" src="data:image/png;base64,{data}">'
    return f'<div class="wide">{shown}</div>'
