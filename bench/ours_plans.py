"""Plans of Persistence: parsed with all checks, printed and edited, at the size of the figures."""

from __future__ import annotations

from bench.figure import OURS
from bench.timing import Call, Stage
from persistence.plans import Plan

_STEPS = (
    '[:tool-call {{:tool :tool/search :args {{:query "question {n}" :limit {n}}}}}]',
    "[:let {{:name x{n} :value {n}}} [:ref {{:name x{n}}}]]",
    '[:llm-call {{:model "m" :prompt "What about {n}?"}}]',
    '[:choice {{:when [(< {n} 3) :else]}} [:seq {{}}] [:checkpoint {{:name "c{n}"}}]]',
)


def source(nodes: int) -> str:
    """A plan of so many steps, in rows of ten and of several kinds."""
    rows, left, n = [], nodes - 1, 0
    while left > 0:
        row: list[str] = []
        left -= 1
        while left > 0 and len(row) < 10:
            text = _STEPS[n % 4].format(n=n) if left >= 3 else '[:checkpoint {:name "end"}]'
            row.append(text)
            left -= text.count("[:")
            n += 1
        rows.append(f"[:seq {{}} {' '.join(row)}]")
    return f"[:par {{}} {' '.join(rows)}]"


def parsing(nodes: int) -> Call:
    text = source(nodes)
    assert Plan(text).size == nodes
    return Call(OURS, lambda: Plan(text), normal=lambda plan: plan.id)


def printing(nodes: int) -> Stage[Plan]:
    """A plan that was just read is printed: what a plan keeps of its text must not help."""
    text = source(nodes)
    return Stage(OURS, prepare=lambda: Plan(text), run=str, normal=str)


def editing(nodes: int) -> Call:
    plan = Plan(source(nodes))
    changed = iter(range(10**9))

    def run() -> bytes:
        name = f"edited {next(changed)}"
        return plan.edit((nodes // 40, 0), f'[:checkpoint {{:name "{name}"}}]').id

    return Call(OURS, run, normal=lambda _: plan.id)


def chains(depth: int) -> Call:
    """A chain of steps, each inside of the one before: read, printed, and edited at its end."""
    text = "[:seq {} " * (depth - 1) + '[:checkpoint {:name "end"}]' + "]" * (depth - 1)
    path = (0,) * (depth - 1)

    def run() -> int:
        plan = Plan(text).edit(path, '[:checkpoint {:name "other"}]')
        return len(str(plan))

    return Call(OURS, run)
