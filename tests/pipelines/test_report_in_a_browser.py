"""The page in a browser without a network: no error, and nothing to scroll sideways on a phone."""

import json
import re
import shutil
import subprocess

import pytest

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no browser here; .ci/system installs one"),
]
LISTEN = """<script>
window.seen = [];
for (const name of ["error", "securitypolicyviolation"])
  window.addEventListener(name, event => seen.push(String(event.message || event.target)), true);
console.error = console.warn = (...words) => seen.push(words.join(" "));
</script>"""
TELL = """<script>window.addEventListener("load", () => {
  const page = document.documentElement;
  const width = () => page.scrollWidth;
  const closed = width();
  document.querySelectorAll("details").forEach(fold => fold.open = true);
  parent.postMessage({seen, closed, opened: width(), room: page.clientWidth}, "*");
});</script>"""
FRAME = """<iframe src="page.html" style="width: {width}px; height: 800px; border: 0"></iframe>
<pre></pre><script>addEventListener("message",
  event => document.querySelector("pre").textContent = JSON.stringify(event.data))</script>"""


def seen(folder, page, width):
    """What a browser of a width finds in a page: errors, files that it misses, widths."""
    (folder / "page.html").write_text(
        page.replace("<head>", "<head>" + LISTEN, 1).replace("</body>", TELL + "</body>", 1)
    )
    (folder / "frame.html").write_text(FRAME.format(width=width))
    found = subprocess.run(
        [
            BROWSER,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={folder / 'profile'}",
            "--virtual-time-budget=20000",
            "--dump-dom",
            (folder / "frame.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=180,
    )
    told = re.search(r"<pre>(\{.*?\})</pre>", found.stdout)
    assert told, f"the browser told nothing: {found.stderr[-500:]}"
    return json.loads(told[1])


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_needs_nothing_and_fits_the_screen(finished, tmp_path, width):
    page = (finished / "reports/report.html").read_text()
    told = seen(tmp_path, page, width)
    assert told["seen"] == []
    assert told["room"] == width - 15 or told["room"] == width  # a scroll bar or none
    assert told["closed"] <= told["room"]
    assert told["opened"] <= told["room"]


def test_a_page_that_is_too_wide_and_errs_would_be_noticed(tmp_path):
    page = '<!doctype html><html><head></head><body><p style="width: 900px">wide</p>'
    told = seen(
        tmp_path, page + '<img src="gone.png"><script>nothing()</script></body></html>', 390
    )
    assert told["closed"] > told["room"]
    assert len(told["seen"]) == 2
