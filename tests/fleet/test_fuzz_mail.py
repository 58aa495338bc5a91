"""What a process of a fleet reads of another: refusals of any code, and bytes that nobody may have sealed."""

from __future__ import annotations

import pickle
import socket
from unittest.mock import patch

import pytest
from fuzz import effort
from hypothesis import example, given
from hypothesis import strategies as st
from near_valid import ANY_TEXT, refusal_of

from actors.fleet.control import is_taken
from actors.fleet.mail import AskStatus, Refused, accepted
from actors.fleet.settings import FleetSettings
from actors.fleet.transport import _Sealed
from protocol.errors import AntiphonError, BadArgumentError

CODES = sorted(error.code for error in AntiphonError.__subclasses__())


@effort(200)
@given(st.sampled_from(CODES) | ANY_TEXT, ANY_TEXT)
@example("missing_extra", "another version's")
@example("of another version", "no")
def test_any_refusal_is_an_error_of_the_package_with_its_message(code: str, message: str) -> None:
    with pytest.raises(AntiphonError) as caught:
        accepted(Refused(code, message))
    assert caught.value.args == (message,)
    assert (
        caught.value.code == code or type(caught.value) is AntiphonError or code in ("bad_command", "missing_extra")
    )


@effort(300)
@given(st.binary(max_size=80), st.integers(0, 200), st.integers(1, 255), st.integers(0, 200))
def test_nothing_but_what_was_sealed_is_unpickled(noise: bytes, at: int, flip: int, end: int) -> None:
    seal = _Sealed("k" * 32)
    sealed = seal.dumps(AskStatus())
    assert seal.loads(sealed) == AskStatus()
    changed = bytearray(sealed)
    changed[at % len(sealed)] ^= flip
    forged = _Sealed("j" * 32).dumps(AskStatus())
    with patch("pickle.loads", side_effect=AssertionError("it was unpickled")):
        for data in (noise, bytes(changed), sealed[: end % len(sealed)], forged, noise + sealed):
            if data != sealed:
                with pytest.raises(pickle.UnpicklingError):
                    seal.loads(data)


@pytest.mark.parametrize(
    "failure", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label empty or too long")], ids=repr
)
def test_a_control_host_that_there_is_not_is_refused_by_name(failure: Exception) -> None:
    with patch("socket.socket.connect_ex", side_effect=failure):
        refused = refusal_of(lambda: is_taken(FleetSettings(control_host="a..b")))
    assert isinstance(refused, BadArgumentError)
    assert "ANTIPHON_FLEET_CONTROL_HOST 'a..b'" in str(refused)
