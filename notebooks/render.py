"""Run every notebook on the finished run of this folder, and write each as one HTML page.

python notebooks/render.py FOLDER
"""

from __future__ import annotations

import argparse
from html import escape
from pathlib import Path
from typing import Any

import nbformat
from markdown_it import MarkdownIt
from nbclient import NotebookClient
from traitlets.config import Config

NOTEBOOKS = sorted(Path(__file__).parent.glob("*.ipynb"))
SECONDS = 120  # that a cell may take
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font-family: sans-serif }}
pre {{ overflow-x: auto }} pre.code {{ background: #f4f4f4; padding: 0.7rem }}
img {{ max-width: 100% }} table {{ border-collapse: collapse }} td, th {{ padding: 0.2rem 0.6rem }}
</style></head><body>
{body}
</body></html>
"""


def executed(path: Path, project: Path) -> nbformat.NotebookNode:
    """The notebook after a run from top to bottom in the folder of a finished `winback run`."""
    book = nbformat.read(path, as_version=4)
    NotebookClient(
        book,
        timeout=SECONDS,
        kernel_name="python3",
        coalesce_streams=True,
        resources={"metadata": {"path": str(project)}},
        # what kernel and client say to each other is for nobody else on the machine
        config=Config({"KernelManager": {"transport_encryption": "auto"}}),
    ).execute()
    return book


def page(book: nbformat.NotebookNode, title: str) -> str:
    """An executed notebook as HTML that opens offline."""
    markdown = MarkdownIt("commonmark")
    parts = []
    for cell in book.cells:
        if cell.cell_type == "markdown":
            parts.append(markdown.render(cell.source))
        else:
            parts.append(f'<pre class="code">{escape(cell.source)}</pre>')
            parts += [_output(output) for output in cell.outputs]
    return PAGE.format(title=escape(title), body="\n".join(parts))


def _output(output: Any) -> str:
    if output.output_type == "stream":
        return f"<pre>{escape(output.text)}</pre>"
    data = output.data
    if "image/png" in data:
        return f'<img alt="" src="data:image/png;base64,{data["image/png"].strip()}">'
    return str(data.get("text/html") or f"<pre>{escape(data['text/plain'])}</pre>")


def main() -> None:
    """Write the pages."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    if not Path("data/recommendations.parquet").exists():
        parser.error("no finished run in this folder; make run first")
    folder.mkdir(parents=True, exist_ok=True)
    for path in NOTEBOOKS:
        written = folder / f"{path.stem}.html"
        written.write_text(page(executed(path, Path.cwd()), path.stem))
        print(written)


if __name__ == "__main__":
    main()
