"""Other programs' files as result sets of ours: of every format in harness/formats/, and of whole campaigns."""

from __future__ import annotations

from harness.importers.choose import FORMATS, choose_format
from harness.importers.model import ImportOptions
from harness.importers.writer import Imported, import_results

__all__ = ["FORMATS", "ImportOptions", "Imported", "choose_format", "import_results"]
