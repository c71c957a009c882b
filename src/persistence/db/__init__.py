"""The database as a value."""

from persistence.db.entity import Entity
from persistence.db.report import Report
from persistence.db.source import Source
from persistence.db.value import Db

__all__ = ["Db", "Entity", "Report", "Source"]
