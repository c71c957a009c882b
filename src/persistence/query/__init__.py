"""Datalog over database values: parsed, compiled to SQL, and answered in Python where SQL ends."""

from persistence.query.explain import Explanation, explain
from persistence.query.functions import FunctionRegistry
from persistence.query.pull import pull, pull_many
from persistence.query.run import run

__all__ = ["Explanation", "FunctionRegistry", "explain", "pull", "pull_many", "run"]
