"""`EngineLog`: what the engine writes to `logging`.

Each record carries `connection_id`, `turn_id`, `trace_id` and `request_id`, empty where it is about none, so that any
format string may name them. None carries what users and agents wrote: an exception is logged with its type and with
where it was raised, but without its message, into which agents and filters put what they were working on.
"""

from __future__ import annotations

import logging
import traceback

__all__ = ["EngineLog"]


class EngineLog(logging.LoggerAdapter[logging.Logger]):
    """A logger for what concerns one turn, one connection, or neither.

    Args:
        name: of the logger.
        connection_id, turn_id, trace_id, request_id: what it is about.
        user_text: whether records may hold what users and agents wrote.

    """

    def __init__(
        self,
        name: str,
        *,
        connection_id: str = "",
        turn_id: str = "",
        trace_id: str = "",
        request_id: str = "",
        user_text: bool = False,
    ) -> None:
        ids = {"connection_id": connection_id, "turn_id": turn_id, "trace_id": trace_id, "request_id": request_id}
        super().__init__(logging.getLogger(name), ids)
        self._user_text = user_text

    def failure(self, level: int, error: BaseException, message: str, *args: object) -> None:
        """Log that something has raised."""
        if self._user_text:
            self.log(level, message, *args, exc_info=error)
        elif self.isEnabledFor(level):
            # As text: a record that holds the exception holds all that its frames hold.
            place = "".join(traceback.format_tb(error.__traceback__))
            self.log(level, f"{message}: %s\n%s", *args, type(error).__name__, place)
