"""Text as models write it, and worse: Markdown, many scripts, tags and noise; and what is heard of it."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise

from hypothesis import strategies as st

from actors.speech import RemovedSpan, SpeechChunk, SpeechPipeline
from actors.speech.row import Row

Spoken = tuple[list[SpeechChunk], list[RemovedSpan]]

ATOMS = [
    *("Hello", "world", "Dr. Smith", "e.g.", "U.S.", "3.14", "1,000", "v2.0.1", "a", "B", "42", "Im 5. Jahrhundert"),
    *(" ", "  ", "\n", "\n\n", "\t", "    ", "\r\n", "\u00a0"),
    *(". ", "! ", "? ", ".", "…", "...", "?!", ", ", "; ", ": ", " - ", "—", ",", ":"),
    *("。", "！", "？", "，", "、", "：", "你好", "天气", "「", "」", "“", "”", "を", "한국어", "**注意：**请"),
    *("هل", "؟", "नमस्ते", "।", "Բարև", "é", "e\u0301", "\u0301", "\u200d"),
    *('"', "'", "(", ")", "[", "]", "](", "!", "![", "{", "}"),
    *("[text](http://x.y/z)", "![alt](u.png)", "[a][b]", "[^1]", "[^1]: note\n", "[lab]: http://q.r\n"),
    *("*", "**", "***", "_", "__", "~~", "~", "`", "``", "```", "```py\n", "\n```\n", "`a`", "x_y_z", "2 * 3"),
    *("# ", "## ", "#", "- ", "* ", "• ", "1. ", "2) ", "> ", "- [ ] ", "---\n", "===\n"),
    *("| a | b |\n", "|---|---|\n", "| 1 | 2 |\n", "|"),
    *("<think>", "</think>", "<b>", "</b>", "<br>", "<div>", "<name>", "<", "<3", "<!-- c -->", "<script>", "<!-"),
    *("&amp;", "&", "\\", "\\*", "\\(x\\)", "\\[a\\]", "$x^2$", "$5", "$", "$$"),
    *("https://www.example.com/a?b=c", "www.foo.org", "http", "http://", "me@x.org", "<https://a.b>", "<a@b.c>"),
    *("😀", "👨‍👩‍👧", "🇩🇪", "1️⃣", "❤️", "©", "(laughing)", "[whispers]", "(la"),
]

texts = st.lists(st.sampled_from(ATOMS), min_size=1, max_size=16).map("".join)


def hear(speech: SpeechPipeline | Row, tokens: list[str], pauses: Collection[int] = ()) -> Spoken:
    """Return the chunks, and what was removed between them; with a pause of the agent at each of these places."""
    chunks: list[SpeechChunk] = []
    removed: list[RemovedSpan] = []
    at = 0
    for token in tokens:
        chunks += speech.feed(token)
        at += len(token)
        if at in pauses:
            chunks += speech.flush(final=False)
        removed += speech.take_removed()
    return chunks + speech.flush(), removed + speech.take_removed()


def cut(text: str, places: list[int]) -> list[str]:
    """`text` in tokens, cut at the given places (modulo its length)."""
    edges = sorted({place % (len(text) + 1) for place in places} | {0, len(text)})
    return [text[begin:end] for begin, end in pairwise(edges)]
