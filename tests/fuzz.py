"""What comes from outside, drawn at random: bounded in a plain run, for as long as one likes with `FUZZ=50`."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from near_valid import ANY_VALUE

__all__ = ["ANY_AGENT_ITEM", "ANY_ARGUMENT", "effort"]

LONGER = int(os.environ.get("FUZZ", "1"))
"""`FUZZ=50 scripts/test tests/simulation` tries fifty times as much."""

ANY_ARGUMENT = (
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 3),
        st.text(max_size=5),
        st.just(float("nan")),
        st.just(()),
        st.just({}),
    )
    | ANY_VALUE
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_TYPES = st.sampled_from(
    ["stream_start", "stream_token", "tool_call", "tool_result", "error", "stream_end", "other", "tts_ready_chunk", 7]
)
ANY_AGENT_ITEM = st.one_of(
    _JSON,
    st.binary(max_size=5),
    st.fixed_dictionaries({"type": _TYPES}, optional={"chunk": _JSON, "data": _JSON, "error": _JSON, "seq": _JSON}),
)


def effort(examples: int, steps: int = 50) -> settings:
    """Return how long to try: so many examples in a plain run."""
    return settings(
        max_examples=examples * LONGER,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
