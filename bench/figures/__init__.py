"""The figures, a file per subject; `SECTIONS` lists them in the order of the results."""

from __future__ import annotations

from bench.figures import (
    agent_state,
    aggregate,
    branches,
    bulk,
    commits,
    edn,
    effects,
    imports,
    past,
    points,
    postgres,
    processes,
    pull,
    queries,
    rules,
    signed_log,
    stm,
)
from bench.lab import Section

SECTIONS: tuple[Section, ...] = (
    queries.SECTION,
    rules.SECTION,
    pull.SECTION,
    past.SECTION,
    points.SECTION,
    aggregate.SECTION,
    commits.SECTION,
    bulk.SECTION,
    imports.SECTION,
    edn.SECTION,
    postgres.SECTION,
    stm.SECTION,
    processes.SECTION,
    branches.SECTION,
    agent_state.SECTION,
    signed_log.SECTION,
    effects.SECTION,
)
