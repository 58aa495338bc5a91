"""The console in a real browser: Debian's Chromium, headless. It has no voices; a stand-in records what it says."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from agents import endless, hang, prose, say

from actors.gateway.neighbours import Place
from actors.speech import SpeechPipeline
from protocol.errors import GatewayCode
from protocol.messages import CloseCode

playwright = pytest.importorskip("playwright.async_api", reason="the extra `browser` is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("there is no Chromium", allow_module_level=True)

OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Says nothing until the test lets it: `voice.done()` ends the utterance, `voice.at(n)` is at its n-th character.
VOICE = """
const spoken = [];
let current;
globalThis.SpeechSynthesisUtterance = class { constructor(text) { this.text = text; } };
const synthesis = {
  getVoices: () => [{ name: "stand-in" }],
  addEventListener() {},
  speak(utterance) { current = utterance; spoken.push(utterance.text); utterance.onstart?.({}); },
  cancel() { current = undefined; },
};
Object.defineProperty(globalThis, "speechSynthesis", { value: synthesis });
globalThis.voice = {
  spoken,
  done() { const utterance = current; current = undefined; utterance.onend?.({}); },
  at(charIndex) { current.onboundary?.({ charIndex }); },
};
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One Chromium for all; gives the address by which it can be driven."""
    profile = tmp_path_factory.mktemp("profile")
    command = [str(CHROMIUM), "--headless", "--remote-debugging-port=0", f"--user-data-dir={profile}", *OPTIONS]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        address = next(line.rpartition(" ")[2].strip() for line in process.stderr if "DevTools listening on" in line)
        reader = threading.Thread(target=process.stderr.read, daemon=True)  # or it would wait when the pipe is full
        reader.start()
        yield address
        process.terminate()
        process.wait(20)
        reader.join(20)


@pytest.fixture
async def open_console(chromium: str) -> AsyncIterator[Any]:
    """Open the page of a server; anything that the page reports as an error fails the test."""
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.connect_over_cdp(chromium)
        errors: list[str] = []

        async def start(served: Any, *, voice: bool = False, **context: Any) -> Any:
            page = await (await browser.new_context(**context)).new_page()
            page.set_default_timeout(20_000)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
            if voice:
                await page.add_init_script(VOICE)
            await page.goto(f"http://127.0.0.1:{served.port}/")
            return page

        yield start
        await browser.close()
        assert [error for error in errors if "WebSocket connection" not in error] == []


async def _state(page: Any, state: str) -> None:
    await page.wait_for_selector(f'#state[data-state="{state}"]')


async def _say(page: Any, text: str) -> None:
    await page.fill("#words", text)
    await page.press("#words", "Enter")


def _markdown(_request: Any) -> Any:
    return say(list("This is **important** news. And here is a bit more of it. "))


async def test_a_turn_is_shown_as_it_is_written_and_as_it_is_spoken(serve: Any, open_console: Any) -> None:
    page = await open_console(await serve(_markdown, speech=SpeechPipeline))
    await _state(page, "open")
    await _say(page, "<b>Tell me</b>")
    await page.wait_for_selector(".turn.over")
    await page.wait_for_selector(".chunk del")
    assert await page.text_content(".said") == "<b>Tell me</b>"
    assert await page.locator(".said b").count() == 0, "text was taken for markup"
    assert "This is **important** news." in await page.text_content(".answer")
    assert await page.locator(".chunk").count() == 2
    assert "Completed" in await page.text_content(".how")
    assert re.fullmatch(r"\d+ms", await page.text_content("#f-first"))
    assert await page.text_content("#f-tokens") == str(
        len("This is **important** news. And here is a bit more of it. ")
    )
    assert "emphasis4" in await page.text_content("#removed")
    assert "2 chunks, 4 characters not spoken" in await page.get_attribute("#timeline", "aria-label")


async def test_without_voices_the_page_says_so_and_chunks_count_as_heard(serve: Any, open_console: Any) -> None:
    served = await serve(_markdown, speech=SpeechPipeline, max_unplayed_chunks=1)
    page = await open_console(served)
    await _state(page, "open")
    assert await page.is_disabled("#aloud")
    assert "no voices" in await page.text_content("#aloud-text")
    await _say(page, "go")
    await page.wait_for_selector(".turn.over")
    await _state(page, "open")


async def test_the_voice_says_each_chunk_and_the_turn_waits_for_it(serve: Any, open_console: Any) -> None:
    served = await serve(lambda _request: say(["One is said. ", "Two is said. ", "Three is said. "]))
    page = await open_console(served, voice=True)
    await _state(page, "open")
    await page.check("#aloud")
    await _say(page, "go")
    for number, text in enumerate(["One is said. ", "Two is said. ", "Three is said. "], start=1):
        await page.wait_for_selector(f".chunk:nth-child({number}).saying")
        assert (await page.evaluate("() => voice.spoken"))[-1] == text
        assert await page.get_attribute("#state", "data-state") == "speaking"
        await page.evaluate("() => voice.done()")
    await page.wait_for_selector(".turn.over")
    (processor,) = served.gateway.system.connections()
    (turn,) = [processor.get_turn(record) for record in processor._roster.turns]
    assert (turn.status, turn.played_text) == ("completed", "One is said. Two is said. Three is said. ")


@pytest.mark.parametrize("how", ["space bar", "escape", "button", "new message"])
async def test_an_interrupt_stops_the_voice_and_shows_what_was_heard(serve: Any, open_console: Any, how: str) -> None:
    served = await serve(lambda _request: hang(["One is said. ", "Two is said. ", "Three"]))
    page = await open_console(served, voice=True)
    await _state(page, "open")
    await page.check("#aloud")
    await _say(page, "go")
    await page.wait_for_selector(".chunk:nth-child(1).saying")
    await page.evaluate("() => voice.done()")
    await page.wait_for_selector(".chunk:nth-child(2).saying")
    await page.evaluate("() => voice.at(3)")
    if how == "space bar":
        await page.press("#words", " ")
        assert await page.input_value("#words") == ""
    elif how == "escape":
        await page.keyboard.press("Escape")
    elif how == "button":
        await page.click("#interrupt")
    else:
        await _say(page, "No, wait.")
    await page.wait_for_selector(".turn.over")
    assert "Interrupted" in await page.text_content(".turn.over .how")
    assert "heard up to “…One is said. Two”" in await page.text_content(".turn.over .how")
    if how != "new message":
        assert re.fullmatch(r"[\d.]+ms", await page.text_content("#f-interrupt"))


async def test_a_space_in_a_message_is_a_space(serve: Any, open_console: Any) -> None:
    page = await open_console(await serve(lambda _request: endless("On and on. ", 0.01)))
    await _state(page, "open")
    await _say(page, "go")
    await _state(page, "speaking")
    await page.type("#words", "two words")
    assert await page.input_value("#words") == "two words"
    assert await page.get_attribute("#state", "data-state") == "speaking"


async def test_a_connection_that_is_dropped_is_resumed_without_a_gap(serve: Any, open_console: Any) -> None:
    sentences = [f"This is number {number}. " for number in range(60)]
    page = await open_console(await serve(lambda _request: say(sentences, 0.01)))
    await _state(page, "open")
    await _say(page, "go")
    await page.wait_for_selector(".chunk:nth-child(5)")
    await page.click("#drop")
    await _state(page, "dropped")
    assert "dropped the connection" in await page.text_content("#notice")
    await page.click("text=Resume")
    await page.wait_for_selector(".turn.over")
    assert await page.locator(".chunk").count() == 60
    assert [text.strip() for text in await page.locator(".chunk").all_text_contents()] == [
        s.strip() for s in sentences
    ]
    assert await page.locator(".turn").count() == 1


async def test_a_connection_that_was_given_up_is_told_and_a_new_one_opened(serve: Any, open_console: Any) -> None:
    served = await serve(lambda _request: hang(["One is said. ", "Two"]), reconnect_grace_seconds=0.05)
    page = await open_console(served)
    await _state(page, "open")
    await _say(page, "go")
    await page.wait_for_selector(".chunk")
    await page.click("#drop")
    await _state(page, "dropped")
    (connection_id,) = served.gateway.sessions or served.gateway.outcomes
    while connection_id not in served.gateway.outcomes:  # the page knows nothing of it, so nothing can tell the test
        await page.wait_for_timeout(20)
    await page.click("text=Resume")
    await _state(page, "open")
    assert "given up; the turn is interrupted" in await page.text_content("#notice")
    assert "One is said." in await page.text_content("#notice")


class OutOfReach:
    """A neighbour that has every connection, and answers nobody."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.asked = asyncio.Event()

    def opened(self, connection_id: str) -> None: ...

    def ended(self, connection_id: str) -> None: ...

    async def find(self, _connection_id: str) -> Place:
        self.asked.set()
        return Place(self.address)


async def test_a_connection_that_is_out_of_reach_for_now_is_not_given_up(serve: Any, open_console: Any) -> None:
    served = await serve(lambda _request: hang(["One is said. ", "Two"]))
    page = await open_console(served)
    await _state(page, "open")
    await _say(page, "go")
    await page.wait_for_selector(".chunk")
    await page.click("#drop")
    await _state(page, "dropped")
    mute = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with mute:
        neighbour = OutOfReach(f"http://127.0.0.1:{mute.sockets[0].getsockname()[1]}")
        served.gateway.neighbours = neighbour
        ((connection_id, session),) = served.gateway.sessions.items()
        del served.gateway.sessions[connection_id]
        await page.click("text=Resume")
        await asyncio.wait_for(neighbour.asked.wait(), 20)
        await _state(page, "lost")
    served.gateway.sessions[connection_id] = session
    await page.wait_for_selector("#notice[data-kind=good]")
    assert await page.locator(".turn").count() == 1
    await page.click("#interrupt")
    await page.wait_for_selector(".turn.over")


async def test_an_error_is_said_in_words(serve: Any, open_console: Any) -> None:
    async def agent(_request: Any) -> Any:
        yield "One is said. "
        raise RuntimeError("the model is gone")

    page = await open_console(await serve(agent, turns_per_minute=1))
    await _state(page, "open")
    await _say(page, "go")
    await page.wait_for_selector(".turn.over .failed")
    await _say(page, "again")
    await page.wait_for_selector("#notice:visible")
    assert "1 turns a minute are allowed" in await page.text_content("#notice")
    assert await page.locator(".turn").count() == 1


async def test_a_message_that_is_too_big_is_said_and_the_conversation_goes_on(serve: Any, open_console: Any) -> None:
    """What fits into the field by its characters need not fit into a message by its bytes."""
    served = await serve(_markdown)
    page = await open_console(served)
    await _state(page, "open")
    (before,) = served.gateway.sessions
    await _say(page, "字" * 30_000)
    await page.wait_for_selector("#notice:visible")
    await page.wait_for_selector(".turn", state="detached")
    await page.wait_for_function("() => document.querySelector('#wire').textContent.includes('resume_success')")
    assert "max_message_bytes" in await page.text_content("#notice")
    await _state(page, "open")
    await _say(page, "go")
    await page.wait_for_selector(".turn.over")
    assert list(served.gateway.sessions) == [before]


async def test_a_turn_ends_with_a_connection_that_the_server_has_ended(serve: Any, open_console: Any) -> None:
    served = await serve(lambda _request: hang(["One is said. ", "Two"]))
    page = await open_console(served)
    await _state(page, "open")
    await _say(page, "go")
    await page.wait_for_selector(".chunk")
    (session,) = served.gateway.sessions.values()
    await session.link.socket.close(CloseCode.TIMED_OUT, GatewayCode.CLIENT_STALLED)
    await _state(page, "dropped")
    assert "client_stalled" in await page.text_content("#notice")
    await page.wait_for_selector(".turn.over")
    await page.click("#drop")  # which connects anew, by now
    await _state(page, "open")


async def test_a_server_that_goes_away_is_said_and_its_return_noticed(serve: Any, open_console: Any) -> None:
    served = await serve(_markdown)
    page = await open_console(served)
    await _state(page, "open")
    for socket in {session.link.socket for session in served.gateway.sessions.values()}:
        socket.abort()
    await _state(page, "lost")
    assert "does not answer" in await page.text_content("#notice")
    await _state(page, "open")
    await _say(page, "go")
    await page.wait_for_selector(".turn.over")


async def test_who_needs_a_token_is_asked_for_it(serve: Any, open_console: Any) -> None:
    page = await open_console(await serve(_markdown, authenticator={"a-token-of-anna-s": "anna"}.get))
    await page.wait_for_selector("#ask[open]")
    await page.fill("#token", "a-token-of-anna-s")
    await page.press("#token", "Enter")
    await _state(page, "open")
    assert "a-token" not in await page.content()


async def test_the_live_actors_are_shown_with_their_mailboxes(serve: Any, open_console: Any) -> None:
    page = await open_console(await serve(lambda _request: hang(["One is said. ", "Two"])))
    await _state(page, "open")
    await _say(page, "go")
    await page.wait_for_selector("#actors li:nth-child(5):not(.away)")
    names = await page.locator("#actors .name").all_text_contents()
    assert names == ["connection", "turn", "producer", "chunker", "emitter"]
    assert all("/100, peak" in text for text in await page.locator("#actors .count").all_text_contents())
    await page.click("#interrupt")
    await page.wait_for_selector("#actors li:nth-child(2).away")


async def test_everything_can_be_reached_with_the_keyboard_and_has_a_name(serve: Any, open_console: Any) -> None:
    page = await open_console(await serve(_markdown), voice=True)
    await _state(page, "open")
    reached: list[str] = []
    for _ in range(16):
        await page.keyboard.press("Tab")
        name = await page.evaluate(
            "() => { const e = document.activeElement; return e === document.body ? '' :"
            " e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent.trim() || '?'; }"
        )
        if name:
            reached.append(name)
    assert "?" not in reached
    assert {"Message", "Drop", "Switch between dark and light", "Messages", "A short hello"} <= set(reached)


async def test_who_wants_no_motion_sees_none(serve: Any, open_console: Any) -> None:
    served = await serve(lambda _request: hang(["One is said. ", "Two"]))
    moving = "() => document.getAnimations().length"
    for reduced, moves in (("no-preference", True), ("reduce", False)):
        page = await open_console(served, reduced_motion=reduced)
        await _state(page, "open")
        await _say(page, "go")
        await _state(page, "speaking")
        await page.wait_for_selector(".chunk")
        assert bool(await page.evaluate(moving)) is moves


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (360, 740), (320, 568)])
async def test_the_end_stays_in_sight_however_fast_it_comes_unless_the_person_reads_further_up(
    serve: Any, open_console: Any, width: int, height: int
) -> None:
    page = await open_console(
        await serve(lambda request: say(prose(150), 0.004 if request.content == "and again" else 0)),
        viewport={"width": width, "height": height},
    )
    await _state(page, "open")
    await _say(page, "go")
    await page.wait_for_selector(".turn.over")
    in_sight = (
        "() => [...document.querySelectorAll('.how')].at(-1).getBoundingClientRect().bottom"
        " <= document.querySelector('#composer').getBoundingClientRect().top"
    )
    assert await page.evaluate(in_sight)
    await _say(page, "and again")
    await page.wait_for_selector(".turn:nth-of-type(2) .chunk")
    await page.evaluate("() => document.querySelector('.said').scrollIntoView()")
    await page.wait_for_selector(".turn:nth-of-type(2).over")
    assert not await page.evaluate(in_sight)


async def test_what_was_written_is_not_written_anew_when_more_comes(serve: Any, open_console: Any) -> None:
    """Whoever has the page read aloud would hear it anew."""
    go_on = asyncio.Event()

    async def agent(_request: Any) -> Any:
        yield "This is the **first** sentence. And"
        await go_on.wait()
        yield " this is the **second** one. "

    page = await open_console(await serve(agent, speech=SpeechPipeline))
    await _state(page, "open")
    await _say(page, "go")
    await page.wait_for_selector(".chunk del")
    first = await page.query_selector(".chunk")
    go_on.set()
    await page.wait_for_selector(".chunk:nth-child(2) del")
    assert await first.evaluate("(chunk) => chunk.isConnected")


@pytest.mark.parametrize(
    ("scheme", "width", "height"),
    [("light", 1280, 800), ("dark", 1280, 800), ("dark", 360, 740), ("light", 320, 568)],
)
async def test_it_fits_any_width_and_can_be_read_in_dark_and_light(
    serve: Any, open_console: Any, tmp_path: Path, scheme: str, width: int, height: int
) -> None:
    page = await open_console(
        await serve(_markdown), color_scheme=scheme, viewport={"width": width, "height": height}
    )
    await _state(page, "open")
    await _say(page, "A message with averyveryveryveryveryveryveryverylongwordthatdoesnotfitanywhereatallontheline")
    await page.wait_for_selector(".turn.over")
    assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
    for selector in ("body", ".answer", ".said", ".how", "#state", ".figures dt", ".actors .name"):
        assert await page.evaluate(CONTRAST, selector) >= 4.5, selector
    shot = await page.screenshot(path=tmp_path / "console.png")
    assert len(shot) > 10_000


# WCAG's contrast of an element's text against what is behind it; opacity counts.
CONTRAST = """
(selector) => {
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const chain = [];
  for (let e = document.querySelector(selector); e; e = e.parentElement) chain.unshift(e);
  const layers = chain.map((e) => getComputedStyle(e));
  const paint = (color, alpha) => { pen.globalAlpha = alpha; pen.fillStyle = color; pen.fillRect(0, 0, 1, 1); };
  const seen = () => [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
  for (const style of layers) paint(style.backgroundColor, 1);
  const back = seen();
  paint(layers.at(-1).color, 1);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [high, low] = [light(seen()), light(back)].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
}
"""


async def test_the_theme_can_be_switched_and_is_remembered(serve: Any, open_console: Any) -> None:
    page = await open_console(await serve(_markdown), color_scheme="light")
    await _state(page, "open")
    color = "() => getComputedStyle(document.body).backgroundColor"
    before = await page.evaluate(color)
    await page.click("#theme")
    after = await page.evaluate(color)
    assert after != before
    await page.reload()
    await _state(page, "open")
    assert await page.evaluate(color) == after


async def test_no_token_is_shown_among_the_messages(serve: Any, open_console: Any) -> None:
    served = await serve(_markdown)
    page = await open_console(served)
    await _state(page, "open")
    await page.click("text=Messages")
    lines = " ".join(await page.locator("#wire li").all_text_contents())
    assert "authorize_success" in lines
    assert "resume_token" not in lines
