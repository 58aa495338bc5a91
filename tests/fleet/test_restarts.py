"""How often a node is started again, by the policy alone."""

from __future__ import annotations

from actors.fleet.restarts import RestartPolicy


def test_the_first_start_is_at_once_and_the_next_ones_come_ever_later() -> None:
    policy = RestartPolicy(most=6, seconds=60, first_delay=0.25, longest_delay=1.5)
    assert [policy.died(at) for at in range(6)] == [0.0, 0.25, 0.5, 1.0, 1.5, 1.5]


def test_who_dies_too_often_is_given_up() -> None:
    policy = RestartPolicy(most=3, seconds=60)
    assert None not in [policy.died(at) for at in (0.0, 10.0, 20.0)]
    assert policy.died(59.0) is None


def test_a_long_life_is_a_new_beginning() -> None:
    policy = RestartPolicy(most=1, seconds=60)
    assert [policy.died(at) for at in (0.0, 61.0, 122.0)] == [0.0, 0.0, 0.0]


def test_who_is_started_by_hand_is_forgiven() -> None:
    policy = RestartPolicy(most=1, seconds=60)
    policy.died(0.0)
    assert policy.died(1.0) is None
    policy.forgive()
    assert policy.died(2.0) == 0.0
