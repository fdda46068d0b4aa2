"""Hooks of mkdocs: pages of the repository's root join the site, and links to files lead to copies.

The pages of docs/ are written to be read in the repository, where `../sources/kumar.yaml` is a file
and `README.md` the start. Here each such link gets what it points at.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
PACKAGE = ("features", "models", "pipelines")
LINK = re.compile(r"(\]\()(?!https?://|#)([^)#]+)(#[^)]*)?(\))")


def on_startup(**_: Any) -> None:
    """Lay the folders of the code out as the package winback, for the API to be read from.

    At the start, since the plugin that reads it looks whether it is there.
    """
    package = ROOT / "build" / "api" / "winback"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").touch()
    for name in PACKAGE:
        link = package / name
        if not link.is_symlink():
            link.symlink_to(ROOT / name)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of the root, and a copy of every file that a page links to."""
    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text("utf-8")))
    for target in sorted(linked_files(files)):
        if target.suffix == ".md":
            continue
        place = place_of(target, str(target))
        files.append(File.generated(config, place, abs_src_path=str(rendered(target))))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page with its links into the repository turned into links of the site."""
    folder = ROOT if page.file.src_uri in PAGES.values() else ROOT / "docs"

    def led(match: re.Match[str]) -> str:
        target = (folder / match[2]).resolve()
        return match[1] + place_of(target, match[2]) + (match[3] or "") + match[4]

    return LINK.sub(led, markdown)


def place_of(target: Path, written: str) -> str:
    """Where the site keeps a file or folder of the repository."""
    inside = target.relative_to(ROOT) if target.is_relative_to(ROOT) else Path(written)
    if str(inside) in PAGES:
        return PAGES[str(inside)]
    if inside.parts[0] == "docs":
        return str(Path(*inside.parts[1:]))
    if target.is_dir():
        return "experiments.md" if inside.parts[0] == "notebooks" else written
    return f"files/{inside.with_suffix(rendered(target).suffix)}"


def rendered(target: Path) -> Path:
    """The page that `make notebooks` made of a notebook, if it is there; other files themselves."""
    page = ROOT / "reports" / "notebooks" / f"{target.stem}.html"
    return page if target.suffix == ".ipynb" and page.exists() else target


def linked_files(files: Files) -> set[Path]:
    """Files outside of docs/ that a page links to."""
    found = set()
    for file in files.documentation_pages():
        root_page = file.src_uri in PAGES.values()
        folder = ROOT if root_page else ROOT / "docs"
        for match in LINK.finditer(file.content_string):
            target = (folder / match[2]).resolve()
            if target.is_file() and not target.is_relative_to(ROOT / "docs"):
                found.add(target)
    return found
