"""What a person sees of a turn: sentences as they become certain, and under them how far the turn is.

Above the status line stands what the agent has written and what is in no sentence yet, so that one sees what the
engine is waiting for. Both lines stay narrower than the terminal: a line that fills it, and the `^C` that the
keyboard adds, would wrap, and what has wrapped is not cleared away. Where the text is typed on the same terminal,
there is no status: it would write over what is being typed.
"""

from __future__ import annotations

import asyncio
import io
import sys
from contextlib import suppress
from typing import Any

from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from actors.speak.display import STANDARD_ERROR
from actors.speak.lines import LinePipe, one_line
from actors.speak.progress import Progress
from actors.speak.summary import Summary, seconds

__all__ = ["TerminalDisplay"]

_REFRESH_SECONDS = 0.1
_TIME_WIDTH = 9
_NARROW = 40
"""Below this width, what would stand beside something stands under it."""
_ROOM_FOR_CTRL_C = 3


class TerminalDisplay:
    """Each chunk as it comes, and below it the status, kept up to date.

    Args:
        typed: whether the text is typed on this terminal.

    """

    def __init__(self, *, typed: bool = False) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # not every terminal knows every character
        self.voice_output = STANDARD_ERROR
        self._typed = typed
        self._progress: Progress | None = None
        self._console = Console(highlight=False)
        self._live = Live(
            console=self._console,
            get_renderable=self._status,
            transient=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=sys.stderr is not None and sys.stderr.isatty(),
        )
        self._voice_pipe: LinePipe | None = None
        self._next_look: asyncio.TimerHandle | None = None

    def start(self, progress: Progress) -> None:
        """Show the status, or how to end a text that is typed."""
        if self._typed:
            self._console.print(Text("Type what is to be spoken. Ctrl-D ends it, Ctrl-C interrupts.", style="dim"))
            return
        self._progress = progress
        self._voice_pipe = LinePipe(self._overhear)
        self.voice_output = self._voice_pipe.write_fd
        self._live.start()
        self._console.show_cursor()  # so that it is there after Ctrl-Z too
        self._look()

    async def show(self, event: dict[str, Any], at: float) -> None:
        """Print a chunk above the status."""
        if event["type"] != "tts_ready_chunk":
            return
        text = Text(one_line(event["chunk"]))
        if "emotion" in event:
            text = Text.assemble((f"({one_line(event['emotion'])}) ", "magenta"), text)
        self._live.refresh()  # or the text of this chunk would still stand below it as unspoken
        if self._console.width < _NARROW:
            self._console.print(Text(seconds(at), style="cyan"))
            self._console.print(text)
        else:
            self._console.print(_row(Text(seconds(at), style="cyan"), text))

    def stop(self) -> None:
        """Take the status away."""
        if self._next_look is not None:
            self._next_look.cancel()
        if self._voice_pipe is not None:
            self.voice_output = STANDARD_ERROR
            self._voice_pipe.close()
            self._voice_pipe = None
        with suppress(OSError):  # the terminal has gone
            self._live.stop()

    async def summarise(self, summary: Summary) -> None:
        """Print the summary."""
        self._console.print()
        self._console.print("summary", style="bold")
        rows = [(Text(f"  {name}", style="bold"), Text(one_line(value))) for name, value in summary.rows()]
        if self._console.width < _NARROW:
            for row in rows:
                self._console.print(*row, sep="\n")
            return
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True)
        grid.add_column(ratio=1)
        for row in rows:
            grid.add_row(*row)
        self._console.print(grid)

    def _look(self) -> None:
        """Bring the status up to date, now and again; in the loop, where what it shows changes."""
        with suppress(OSError):  # the terminal has gone: the next sentence will say so
            self._live.refresh()
        self._next_look = asyncio.get_running_loop().call_later(_REFRESH_SECONDS, self._look)

    def _overhear(self, line: str) -> None:
        """Print a line of the voice above the status."""
        with suppress(OSError):
            self._console.print(_row(Text(), Text(one_line(line), style="dim")))

    def _status(self) -> Any:
        progress = self._progress
        if progress is None:
            return Text()
        width = self._console.width - _ROOM_FOR_CTRL_C
        share = f"{progress.share:.0%} · " if progress.share is not None else ""
        figures = Text(
            f"{share}tokens {progress.source.tokens_read:,} · chunks {progress.chunks:,} · "
            f"{progress.elapsed():.1f} s · Ctrl-C interrupts",
            style="dim",
            no_wrap=True,
        )
        indent = 0 if width < _NARROW else _TIME_WIDTH + 2
        unspoken = _end_of(one_line(progress.unspoken).strip(), width - indent)
        figures.truncate(width, overflow="ellipsis")
        return Group(Text(" " * indent + unspoken, style="dim italic", no_wrap=True), figures)


def _row(time: Text, text: Text) -> Table:
    row = Table.grid(padding=(0, 2))
    row.add_column(justify="right", no_wrap=True, min_width=_TIME_WIDTH)
    row.add_column(ratio=1)
    row.add_row(time, text)
    return row


def _end_of(text: str, width: int) -> str:
    """Return as much of the end of a text as fits, and a sign that it is not all."""
    if cell_len(text) <= width:
        return text
    text = text[-width:]
    while text and cell_len(text) >= width:
        text = text[1:]
    return "…" + text
