"""What the pages say of the code is so: messages that are explained exist, links lead somewhere."""

import ast
import re

import pytest
from commands import ROOT

MESSAGES = (ROOT / "lofi_jax" / "checkup" / "README.md").read_text()
LISTED = re.findall(r"^\| `([^`]+)` \|", MESSAGES.partition("## What a message means")[2], re.M)


@pytest.fixture(scope="module")
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


@pytest.mark.parametrize("message", LISTED)
def test_a_message_that_is_explained_is_one_of_the_code(message, said):
    pattern = ".*".join(map(re.escape, message.split("...")))
    assert any(re.search(pattern, text) for text in said)


def test_messages_are_explained():
    assert len(LISTED) > 30 and len(set(LISTED)) == len(LISTED)


def anchors(page) -> set[str]:
    """The places in a page that a link can name, as GitHub derives them from its headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def test_links_lead_somewhere():
    rooms = "lofi_jax", "configs", "tests"
    inner = (path for room in rooms for path in (ROOT / room).rglob("*.md"))
    lost = []
    for page in (*ROOT.glob("*.md"), *inner):
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            name, _, anchor = link.partition("#")
            there = (page.parent / name).resolve() if name else page
            if "://" in link:
                continue
            if not there.exists() or (anchor and anchor not in anchors(there)):
                lost.append(f"{page.relative_to(ROOT)}: {link}")
    assert lost == []
