"""Specs: what a value has to be, said once; parsed, explained, drawn and written as a schema."""

from persistence.specs.combinators import (
    bounded,
    enum,
    keys,
    number,
    pred,
    ref,
    regex,
    seq,
    sized,
    tagged,
    union,
)
from persistence.specs.conforming import conform, explain, is_valid
from persistence.specs.plain import as_json
from persistence.specs.problems import Problem
from persistence.specs.registry import Registry
from persistence.specs.repairing import Attempt, arepair, repair
from persistence.specs.schemas import json_schema
from persistence.specs.space import Specs
from persistence.specs.spec import Spec
from persistence.specs.strategies import strategy
from persistence.specs.tools import Tool, parameters_schema, tool

__all__ = [
    "Attempt",
    "Problem",
    "Registry",
    "Spec",
    "Specs",
    "Tool",
    "arepair",
    "as_json",
    "bounded",
    "conform",
    "enum",
    "explain",
    "is_valid",
    "json_schema",
    "keys",
    "number",
    "parameters_schema",
    "pred",
    "ref",
    "regex",
    "repair",
    "seq",
    "sized",
    "strategy",
    "tagged",
    "tool",
    "union",
]
