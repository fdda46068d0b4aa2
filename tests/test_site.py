"""The site of docs/: it builds without a warning, and loads nothing from other servers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

LOADED = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)=\"?([^\" >]+)")
LINKS = re.compile(r"<a\b[^>]*?href=\"?([^\" >#]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return out


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere_and_its_links_lead_somewhere(site):
    pages = [page for page in site.glob("*.html") if page.name != "404.html"]
    assert len(pages) > 20
    for page in pages:
        text = page.read_text()
        loaded = LOADED.findall(text)
        assert not [target for target in loaded if re.match(r"https?:|//", target)], page.name
        assert 'class="mermaid"' not in text, "a diagram would load its library from a server"
        near = [t for t in (*loaded, *LINKS.findall(text)) if not re.match(r"\w+:|//", t)]
        missing = [t for t in near if not (page.parent / t).resolve().exists()]
        assert not missing, (page.name, missing)
    assert "OfferUplift" in Path(site / "api.html").read_text()
