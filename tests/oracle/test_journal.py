"""Journals are read as they grow; a torn line is read when it is whole."""

from pathlib import Path

from oracle.journal import Journal, Reader


def test_lines_are_read_once_by_their_kind(tmp_path: Path):
    journal, reader = Journal(tmp_path, "node"), Reader(tmp_path)
    journal.write("begin", id=1)
    journal.write("end", id=1)
    reader.read_new()
    journal.write("begin", id=2)
    reader.read_new()
    reader.read_new()
    assert [line["id"] for line in reader.lines["begin"]] == [1, 2]
    assert [line["id"] for line in reader.lines["end"]] == [1]


def test_a_torn_line_is_left_until_it_is_whole(tmp_path: Path):
    reader = Reader(tmp_path)
    path = tmp_path / "node-1.jsonl"
    path.write_text('{"kind": "begin", "id": 1}\n{"kind": "be')
    reader.read_new()
    assert len(reader.lines["begin"]) == 1
    with path.open("a") as file:
        file.write('gin", "id": 2}\n')
    reader.read_new()
    assert [line["id"] for line in reader.lines["begin"]] == [1, 2]
