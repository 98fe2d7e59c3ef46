"""Other programs' raw output as result sets of ours; one small file per format."""

from __future__ import annotations

from harness.importers.formats import FORMATS, choose_format
from harness.importers.model import Options
from harness.importers.writer import Imported, import_results

__all__ = ["FORMATS", "Imported", "Options", "choose_format", "import_results"]
