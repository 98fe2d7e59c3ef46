"""The pages as a site: Sphinx makes it without a warning, so that every link and heading in it is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import site


@pytest.mark.slow
def test_the_site_is_made_without_a_warning(tmp_path: Path) -> None:
    begun = site.version()
    done = site.build(tmp_path)
    assert done.returncode == 0, done.stderr
    for page in site.ROOT.glob("docs/**/*.md"):
        assert (tmp_path / page.relative_to(site.ROOT).with_suffix("") / "index.html").exists() or page.stem == "index"
    start = (tmp_path / "docs" / "index.html").read_text()
    assert "Tutorial: your first measurement" in start and any(
        f"pollbench {version}" in start for version in (begun, site.version())
    )


def test_a_dead_link_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test above relies on: of a page with two dead links both are named."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Start\n\n[one](nowhere.md) [two](#no-heading)\n")
    (tmp_path / "docs" / "conf.py").write_text((site.ROOT / "docs" / "conf.py").read_text())
    (tmp_path / "pyproject.toml").write_text('version = "1"\n')
    monkeypatch.setattr(site, "ROOT", tmp_path)
    monkeypatch.setattr(site, "OTHERS", ())
    done = site.build(tmp_path / "out")
    assert done.returncode != 0 and "nowhere.md" in done.stderr and "no-heading" in done.stderr
