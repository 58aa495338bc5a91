#!/usr/bin/env python3
"""Draw the machine of a turn from its table, for docs/turn.md.

python scripts/turn_diagram.py            print the drawing and what its words mean
python scripts/turn_diagram.py --write    put them into docs/turn.md, between the two comments
"""

from __future__ import annotations

import argparse
import sys

from checkout import ROOT

sys.path.insert(0, str(ROOT))

from protocol.turn import TRANSITIONS, Effect, Input, Phase, Step

__all__ = ["BEGIN", "DOCUMENT", "END", "drawing"]

DOCUMENT = ROOT / "docs" / "turn.md"
BEGIN = "<!-- drawn from the table by scripts/turn_diagram.py -->\n"
END = "<!-- end of the drawing -->\n"


def drawing() -> str:
    """Return the machine as a Mermaid state diagram, and tables of its inputs and effects."""
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    {phase.name}: {phase.value}" for phase in Phase]
    lines += [f"    [*] --> {Phase.QUEUED.name}"]
    lines += [_arrow(phase, event, step) for phase, row in TRANSITIONS.items() for event, step in row.items()]
    lines += [f"    {phase.name} --> [*]" for phase, row in TRANSITIONS.items() if not row]
    lines += ["```", "", "| input | what has happened |", "|---|---|"]
    lines += [f"| `{event.name}` | {event.value} |" for event in Input]
    lines += ["", "| effect | what the Turn does |", "|---|---|"]
    lines += [f"| `{effect.name}` | {effect.value} |" for effect in Effect]
    return "\n".join(lines) + "\n"


def _arrow(phase: Phase, event: Input, step: Step) -> str:
    effects = " / " + ", ".join(effect.name for effect in step.effects) if step.effects else ""
    return f"    {phase.name} --> {step.phase.name}: {event.name}{effects}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put it into docs/turn.md")
    if not parser.parse_args().write:
        print(drawing(), end="")
        return
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(before + BEGIN + drawing() + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
