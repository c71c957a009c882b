"""Reading transaction data as EDN text, against `edn_format`."""

from __future__ import annotations

from bench import workload
from bench.figure import OURS, within
from bench.lab import Lab, Section
from bench.timing import Call

FIGURE = "EDN reading"
PEER = "edn_format"


def measure(lab: Lab) -> None:
    ours = lab.ours
    if ours is None:
        return
    try:
        import edn_format  # type: ignore[import-untyped]  # noqa: PLC0415
    except ImportError:
        lab.skip(PEER, "edn_format is not installed; it comes with the extra `dev`")
        return
    text = ours.edn(workload.people(lab.scale.edn_people))
    forms = lab.scale.edn_people
    contenders = [
        Call(OURS, lambda: ours.read_edn(text), len, operations=forms),
        Call(PEER, lambda: edn_format.loads(text), len, operations=forms),
    ]
    note = f"per map of five facts; {len(text) // 1000} kB of text"
    lab.measure(FIGURE, contenders, within(0.1, PEER), base=PEER, slow=True, note=note)


SECTION = Section("edn", "EDN", (FIGURE,), measure)
