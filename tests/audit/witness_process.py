"""A witness in a process of its own: prints its URL, then serves until it is stopped."""

from __future__ import annotations

import json
import sys
from functools import partial

from persistence.audit.witness_server import serve
from tests.audit.witnessing import KNOWN, WITNESS_KEY

if __name__ == "__main__":
    state = json.loads(sys.argv[1])
    serve(state, WITNESS_KEY, KNOWN, port=0, ready=partial(print, flush=True))
