"""Secrets are masked wherever the output is cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elihu.commands.runner.mask import Masker, maskable, whole_characters


def masked(secrets: list[str], *reads: bytes) -> bytes:
    masker = Masker(maskable(secrets))
    return b"".join(masker.feed(read) for read in reads) + masker.flush()


@pytest.mark.parametrize(
    ("secrets", "data", "shown"),
    [
        (["secret1"], b"a secret1 b secret1", b"a *** b ***"),
        (["secret1"], b"secret1secret1", b"******"),
        (["short"], b"short", b"short"),
        (["secret", "secret-long"], b"secret secret-long", b"*** ***"),
        (["secret", "secret-long"], b"secret-lon", b"***-lon"),
        (["abcdef", "defghi"], b"abcdefghi", b"***ghi"),
        (["xxabcde", "abcdefgh", "fghijk"], b"xxabcdefghijk", b"******"),
        (["pässwörd"], "das pässwörd".encode(), b"das ***"),
        (["aaaaaa"], b"aaaaaaaaa", b"***aaa"),
        ([], b"anything", b"anything"),
        (["secret1"], b"secret", b"secret"),
    ],
)
def test_each_cut(secrets: list[str], data: bytes, shown: bytes) -> None:
    for first in range(len(data) + 1):
        for second in range(first, len(data) + 1):
            assert masked(secrets, data[:first], data[first:second], data[second:]) == shown


def test_single_bytes() -> None:
    data = b"a secret1 and secret22"
    assert masked(["secret1", "secret22"], *(bytes([byte]) for byte in data)) == b"a *** and ***"


def test_only_the_begin_of_a_secret_is_held_back() -> None:
    masker = Masker(maskable(["secret1"]))
    assert masker.feed(b"line\nsec") == b"line\n"
    assert masker.feed(b"ond\n") == b"second\n"


@given(
    secrets=st.lists(st.text("ab", min_size=6, max_size=9), max_size=4),
    data=st.text("ab", max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=5),
)
def test_cuts_change_nothing_and_no_secret_is_shown(
    secrets: list[str], data: str, cuts: list[int]
) -> None:
    raw = data.encode()
    places = [0, *sorted(cuts), len(raw)]
    pieces = [raw[a:b] for a, b in pairwise(places)]
    whole = masked(secrets, raw)
    assert masked(secrets, *pieces) == whole
    assert not any(secret.encode() in whole for secret in secrets)


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (b"", 0),
        (b"abc", 3),
        ("aé".encode(), 3),
        ("aé".encode()[:-1], 1),
        ("a€".encode()[:-1], 1),
        ("a€".encode()[:-2], 1),
        ("a😀".encode()[:-1], 1),
        ("a😀".encode(), 5),
        (b"\xff\xff", 1),
        (b"a\x80\x80\x80\x80", 5),
    ],
)
def test_whole_characters(data: bytes, length: int) -> None:
    assert whole_characters(data) == length
