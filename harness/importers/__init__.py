"""Other programs' files and whole campaigns as result sets of ours; `formats` reads them."""

from __future__ import annotations

from harness.importers.model import ImportOptions
from harness.importers.writer import FORMATS, Imported, choose_format, import_results

__all__ = ["FORMATS", "ImportOptions", "Imported", "choose_format", "import_results"]
