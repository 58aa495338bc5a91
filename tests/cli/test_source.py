"""Files and streams as agents, token by token."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.speak.source import InputError, TextSource, decode, tokens_of


@given(st.text())
def test_tokens_are_the_text(text: str) -> None:
    assert "".join(tokens_of(text)) == text


@given(st.text())
def test_tokens_are_short(text: str) -> None:
    assert all(0 < len(token) <= 5 or set(token) == {"\n"} for token in tokens_of(text))


def test_tokens_look_like_a_models() -> None:
    assert list(tokens_of("Hello there, you.\n\nBye")) == [
        *("Hell", "o", " ther", "e", ",", " you", ".", "\n\n", "Bye"),
    ]


@given(st.text().filter(lambda text: "\0" not in text and not text.startswith("\ufeff")), st.integers(1, 7))
def test_decoding_is_indifferent_to_where_the_bytes_are_cut(text: str, size: int) -> None:
    data = text.encode()
    blocks = (data[i : i + size] for i in range(0, len(data), size))
    assert "".join(decode(blocks, "x")) == text


def test_a_byte_order_mark_is_no_text() -> None:
    assert "".join(decode(iter([b"\xef\xbb", b"\xbfHi"]), "x")) == "Hi"


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([b"ab", b"c\0d"], "x: not a text file (a NUL byte at offset 3)"),
        ([b"caf\xe9 au lait"], "x: not UTF-8 text (byte 0xe9 at offset 3)"),
        ([b"caf\xc3", b" au lait"], "x: not UTF-8 text (byte 0xc3 at offset 3)"),
        ([b"ab", b"caf\xc3"], "x: not UTF-8 text (byte 0xc3 at offset 5)"),
        (["Hi".encode("utf-16")], "x: not a text file (a NUL byte at offset 3)"),
    ],
)
def test_what_is_no_text_is_named_with_its_place(blocks: list[bytes], message: str) -> None:
    with pytest.raises(InputError) as caught:
        list(decode(iter(blocks), "x"))
    assert str(caught.value) == message


async def test_a_file_is_read_to_its_last_character(tmp_path: Path) -> None:
    text = "Grüße, 你好!\r\n\tEnd " * 20_000  # several blocks
    path = tmp_path / "text"
    path.write_bytes(text.encode())
    with TextSource(str(path)) as source:
        assert not source.is_stream
        assert source.length == len(text)
        tokens = [token async for token in source.tokens()]
    assert "".join(tokens) == text
    assert source.tokens_read == len(tokens)
    assert source.characters_read == len(text)
    assert text.endswith(source.tail)
    assert 100 < len(source.tail) < 1000


def test_a_file_that_cannot_be_read_is_named() -> None:
    with pytest.raises(InputError, match=r"^/proc/self/mem: Input/output error$"):
        TextSource("/proc/self/mem")


def test_a_file_is_checked_before_a_word_is_spoken(tmp_path: Path) -> None:
    path = tmp_path / "half.txt"
    path.write_bytes(b"text " * 50_000 + b"\xff")
    with pytest.raises(InputError, match="offset 250000"):
        TextSource(str(path))


async def test_a_fifo_is_a_stream(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR)
    os.write(writer, b"Hello there.")
    with TextSource(str(path)) as source:
        assert source.is_stream
        tokens = source.tokens()
        assert [await anext(tokens) for _ in range(5)] == ["Hell", "o", " ther", "e", "."]
        os.close(writer)
        assert [token async for token in tokens] == []


async def test_the_pace_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("a b c d e f g h i j k")
    loop = asyncio.get_running_loop()
    with TextSource(str(path)) as source:
        began = loop.time()
        tokens = [token async for token in source.tokens(100)]
        took = loop.time() - began
    assert len(tokens) == 11
    assert took >= 0.095
