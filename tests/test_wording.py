"""What is disputed is cited, in the pages that say so, and promised nowhere."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DISPUTED = re.compile(r"generali[sz]|(flat|sharp)(ter|er)?\s+(minim|place)|regulari[sz]", re.IGNORECASE)
PAGES = {
    "docs/explanation/sharpness.md",
    "docs/explanation/what-is-not-known.md",
}
"""Pages that cite both sides."""
FILES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "launcher/**/*.py", "batchwright_*/**/*.py", "recipes/**/*")
    for path in ROOT.glob(pattern)
    if path.is_file() and path.suffix in {".md", ".py", ".yaml"}
)


def test_nothing_is_promised_of_minima():
    """No message, help text or page claims how a model will do on data that it has not seen."""
    assert len(FILES) > 400
    assert {str(path.relative_to(ROOT)) for path in FILES if DISPUTED.search(path.read_text())} == PAGES


def test_the_pages_that_cite_it_cite_both_sides():
    """Keskar's observation, Dinh's objection, and the sentence that is left."""
    text = (ROOT / "docs/explanation/what-is-not-known.md").read_text()
    for source in ("1609.04836", "1703.04933", "1705.08741", "1811.03600", "2006.15081", "2109.14119"):
        assert f"arXiv:{source}" in text
    for page in ("sharpness", "what-is-not-known"):
        words = " ".join((ROOT / f"docs/explanation/{page}.md").read_text().split())
        assert re.search("published studies disagree whether a gap remains after retuning", words)
