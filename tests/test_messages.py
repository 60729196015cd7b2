"""The messages that a page explains are those of the code."""

import ast
import re

import pytest
from commands import ROOT

PAGE = ROOT / "lofi_jax" / "checkup" / "README.md"
SECTION = PAGE.read_text().partition("## What a message means")[2]
LISTED = re.findall(r"^\| `([^`]+)` \|", SECTION, re.M)


def said() -> list[str]:
    """All that the code can say: its strings, with "..." where a value goes."""
    texts = []
    for path in (ROOT / "lofi_jax").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (getattr(part, "value", None) for part in node.values)
                texts.append("".join(part if isinstance(part, str) else "..." for part in parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return texts


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return said()


@pytest.mark.parametrize("message", LISTED)
def test_a_message_on_the_page_is_one_of_the_code(message, texts):
    pattern = ".*".join(map(re.escape, message.split("...")))
    assert any(re.search(pattern, text) for text in texts)


def test_the_page_lists_messages():
    assert len(LISTED) > 30 and len(set(LISTED)) == len(LISTED)
