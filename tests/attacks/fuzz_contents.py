"""What readers are fuzzed with: good files with wounds, pieces of their format, bytes of any kind."""

import random
from functools import partial

from hypothesis import strategies as st

NUMBERS = (
    b"0",
    b"-1",
    b"1",
    b"2",
    b"1e999",
    b"-0.0",
    b"NaN",
    b"9" * 30,
    b"9" * 5000,
    b"18446744073709551615",
    b"0.5",
)
BYTES = (
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    "\u2028".encode(),
    "\u202e".encode(),
    "é".encode(),
    b"\x1b[2J",
    b" ",
)
JSON = (
    *NUMBERS,
    *BYTES,
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b":",
    b",",
    b"null",
    b"true",
    b'"x"',
    b"\\ud800",
    b"\\u0000",
    b"[" * 2000,
    b"{}",
    b"[]",
    b'"a": 1,',
    b'{"a": {"b": [1]}}',
    b"\n",
)
TABLE = (
    *NUMBERS,
    *BYTES,
    b",",
    b"\t",
    b'"',
    b'""',
    b"\n",
    b"\r",
    b"\r\n",
    b"text",
    b"label",
    b"id",
    b"a,b\n",
    b"2024-01-01",
    b"9999-12-31T23:59:59+14:00",
    b"nan",
    b"1_0",
    b"=1+1",
    b"," * 100,
)
TOML = (
    *NUMBERS,
    *BYTES,
    b"=",
    b'"',
    b"'",
    b'"""',
    b"[",
    b"]",
    b"[[a]]",
    b"{a = 1}",
    b"a.b.c",
    b"#",
    b"\n",
    b"true",
    b"[" * 2000,
    b"1979-05-27",
    b'"lstm"',
    b"inf",
    b"0x1",
    b"hidden_size",
)
TENSORS = (
    *JSON,
    b"F32",
    b"F64",
    b"BF16",
    b"F8_E4M3",
    b"F4",
    b"U64",
    b"BOOL",
    b"C64",
    b"data_offsets",
    b"shape",
    b"dtype",
    b"__metadata__",
    b"\x7f\xf0\0\0",
    b"\0" * 8,
    b"\xff" * 8,
)
BINARY = (
    *BYTES,
    *NUMBERS,
    b"\0" * 512,
    b"\xff" * 512,
    b"ustar",
    b"../",
    b"/",
    b"0000777\0",
    b"77777777777\0",
    b"\x1f\x8b\x08",
)
IMAGES = (
    *BINARY,
    b"IHDR",
    b"IDAT",
    b"PLTE",
    b"tRNS",
    b"eXIf",
    b"iCCP",
    b"acTL",
    b"\xff\xd8",
    b"\xff\xc0",
    b"\xff\xc4",
    b"\xff\xda",
    b"\xff\xe1",
    b"Exif\0\0",
    b"II*\0",
    b"VP8 ",
    b"VP8L",
    b"ALPH",
    b"ANMF",
    b"GIF89a",
    b"!\xff\x0bNETSCAPE2.0",
    b"!\xf9\x04",
    b",",
    b";",
    b"\xff\xff\xff\x7f",
)
HTTP = (
    *NUMBERS,
    *BYTES,
    b"\r\n",
    b"\r\n\r\n",
    b"HTTP/1.1",
    b"200",
    b"301",
    b"Location: ",
    b"http://127.0.0.1:1/",
    b"file:///x",
    b"Content-Length: ",
    b"Transfer-Encoding: chunked",
    b"ffffffff\r\n",
    b": ",
)


def contents(seeds: list[bytes], tokens: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """A good file with up to six wounds; now and then pieces of the format alone, or bytes of any kind.

    Everything hangs on one number: each number that hypothesis draws takes as long as most readers.
    """
    return st.integers(0, 2**62 - 1).map(partial(_broken, seeds, tokens))


def _broken(seeds: list[bytes], tokens: tuple[bytes, ...], number: int) -> bytes:
    chance = random.Random(number)
    kind = chance.randrange(10)
    if kind == 0:
        return chance.randbytes(chance.randrange(300))
    if kind == 1:
        return b"".join(chance.choices(tokens, k=chance.randrange(30)))
    content = chance.choice(seeds)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):  # most files are broken at one place only
        content = _wounded(content, chance, tokens)
    return content


def _wounded(content: bytes, chance: random.Random, tokens: tuple[bytes, ...]) -> bytes:
    """One wound: a flipped bit, other bytes, a cut, a piece left out, doubled or moved, a token put in or swapped."""
    kind = chance.randrange(7)
    start = chance.randrange(len(content) + 1)
    end = min(len(content), start + chance.choice((1, 2, 4, 8, 64, 512)))
    if kind == 0 and start < len(content):
        return content[:start] + bytes([content[start] ^ 1 << chance.randrange(8)]) + content[start + 1 :]
    if kind == 1:
        return content[:start] + chance.randbytes(end - start) + content[end:]
    if kind == 2:
        return content[:start]
    if kind == 3:
        return content[:start] + content[end:]
    if kind == 4:
        to = chance.randrange(len(content) + 1)
        return content[:to] + content[start:end] + content[to:]
    token = chance.choice(tokens)
    if kind == 5:
        return content[:start] + token + content[start:]
    old = chance.choice(tokens)  # all of one kind for another
    return (
        content.replace(old, token, 1 + chance.randrange(3))
        if old in content
        else content[:start] + token + content[end:]
    )
