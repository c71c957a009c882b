"""Files in, facts out: rows become transaction data and are committed batch by batch.

rows        what a file holds, one object at a time      (json_rows, edn_rows)
plan        what is asked for, checked
shape       an object as a map of transaction data       (convert)
book        what is known of every attribute, and what to declare
sequence    rows of one entity that follow each other
position    how far earlier runs came
run         batches, commits, refusals
"""

from persistence.importing.plan import Plan
from persistence.importing.report import Imported, Refusal
from persistence.importing.rows import FORMATS
from persistence.importing.run import BATCH, import_file

__all__ = ["BATCH", "FORMATS", "Imported", "Plan", "Refusal", "import_file"]
