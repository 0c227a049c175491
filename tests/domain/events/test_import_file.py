"""Import files as byte streams: the parsed lines do not depend on chunk sizes or compression."""

import gzip
import json
import tracemalloc
import zlib
from itertools import cycle, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journey_service.domain.errors import InvalidInputError, MalformedError
from journey_service.domain.events.files.import_file import FileFormat, ImportFileReader, InvalidLineError
from journey_service.domain.events.parsing import ImportLine
from profiles import examples

UTC_ZONE = ZoneInfo("UTC")
HEADER = b"customer_id,event_type,occurred_at,amount\n"
UNKNOWN = "; unknown columns are '1;appointment_completed;2026-03-01'"
INCOMPLETE = "is incomplete: the compressed file ends early or is damaged"
NOT_UTF_8 = "is not UTF-8; name the encoding of the file"
MAX_LINE_BYTES = 64 * 1024
BOM = b"\xef\xbb\xbf"


def row(customer, amount="5"):
    return f"{customer},appointment_completed,2026-03-01T09:30:00Z,{amount}\n".encode()


def json_line(customer, **more):
    values = {"type": "appointment_completed", "customer_id": customer, "occurred_at": "2026-03-01T09:30:00Z"}
    return json.dumps(values | more).encode() + b"\n"


CSV = HEADER + b"".join(row(customer) for customer in range(1, 4))
NDJSON = b"".join(json_line(customer) for customer in range(1, 4))


def chunks(data, sizes):
    """Yields the data in chunks of these sizes, repeated; in one chunk without sizes."""
    start = 0
    for size in cycle(sizes or [len(data) or 1]):
        if start >= len(data):
            return
        yield data[start : start + size]
        start += size


def read(data, *, sizes=(), zone=UTC_ZONE, is_gzip=None, **how):
    """Parses the data, fed in chunks of these sizes."""
    reader = ImportFileReader(zone, is_gzip=is_gzip, **how)
    found = []
    for piece in chunks(data, sizes):
        found += reader.parse_chunk(piece)
    return found + list(reader.parse_rest())


def summary(found):
    """Returns (line number, customer) of each parsed line, and (line number, errors) of each invalid line."""
    return [
        (each.number, each.event.customer_id)
        if isinstance(each, ImportLine)
        else (each.number, "; ".join(f"{error.pointer} {error.message}".strip() for error in each.errors))
        for each in found
    ]


def outcome(data, **how):
    """Returns the summary of the lines, or the error of the whole file."""
    try:
        return summary(read(data, **how))
    except (MalformedError, InvalidInputError) as error:
        return f"{type(error).__name__}: {error}"


# ---- forms


def test_csv_lines_are_numbered_as_in_the_file():
    assert summary(read(CSV)) == [(2, 1), (3, 2), (4, 3)]


def test_json_lines_are_numbered_as_in_the_file():
    assert summary(read(NDJSON)) == [(1, 1), (2, 2), (3, 3)]


def test_csv_and_ndjson_are_parsed_to_the_same_events():
    by_csv, by_json = read(CSV), read(b"".join(json_line(customer, amount=5) for customer in range(1, 4)))
    assert [line.event for line in by_csv] == [line.event for line in by_json]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        pytest.param(CSV.rstrip(b"\n"), [(2, 1), (3, 2), (4, 3)], id="no end to the last line"),
        pytest.param(CSV.replace(b"\n", b"\r\n"), [(2, 1), (3, 2), (4, 3)], id="CRLF"),
        pytest.param(NDJSON.replace(b"\n", b"\r\n"), [(1, 1), (2, 2), (3, 3)], id="CRLF in JSON"),
        pytest.param(BOM + CSV, [(2, 1), (3, 2), (4, 3)], id="a byte order mark"),
        pytest.param(BOM + NDJSON, [(1, 1), (2, 2), (3, 3)], id="a byte order mark before JSON"),
        pytest.param(HEADER + b"\n  \n" + row(1) + b"\r\n" + row(2), [(4, 1), (6, 2)], id="blank lines"),
        pytest.param(b"\n \r\n" + CSV, [(4, 1), (5, 2), (6, 3)], id="blank lines before the header"),
        pytest.param(b"\n" + NDJSON, [(2, 1), (3, 2), (4, 3)], id="a blank line before JSON"),
        pytest.param(b"  " + NDJSON, [(1, 1), (2, 2), (3, 3)], id="blanks before JSON"),
        pytest.param(HEADER, [], id="a header and nothing else"),
        pytest.param(HEADER.rstrip(b"\n"), [], id="a header without an end"),
        pytest.param(
            b'"customer_id", event_type ,"occurred_at",amount\n' + row(1),
            [(2, 1)],
            id="a quoted and spaced header",
        ),
        pytest.param(
            HEADER + b'"1","appointment_completed","2026-03-01T09:30:00Z","5"\n', [(2, 1)], id="quoted cells"
        ),
    ],
)
def test_variants_of_line_ends_and_headers_are_accepted(data, found):
    assert summary(read(data)) == found
    assert summary(read(data, sizes=[1])) == found
    assert summary(read(gzip.compress(data))) == found


def test_quoted_cells_may_contain_commas_and_quotes():
    data = b'customer_id,type,occurred_at,booking_id\n1,call_received,2026-03-01,"room 4, ""north"""\n'
    [line] = read(data)
    assert line.event.booking_id == 'room 4, "north"'


def test_a_cell_may_contain_json():
    data = b'customer_id,type,occurred_at,metadata\n1,call_received,2026-03-01,"{""room"": 4}"\n'
    [line] = read(data)
    assert line.event.metadata == {"room": 4}


def test_dates_are_in_the_time_zone_of_the_company():
    [line] = read(HEADER + b"1,call_received,2026-07-01,\n", zone=ZoneInfo("Europe/Berlin"))
    assert line.event.occurred_at.isoformat() == "2026-06-30T22:00:00+00:00"


def test_columns_may_have_any_order_and_number():
    data = b"id,occurred_at,source,customer_id,type\n9,2026-03-01T00:00:00Z,desk,1,call_received\n"
    [line] = read(data)
    assert (line.event.key, line.has_id) == (("desk", "9"), True)


def test_the_reader_counts_the_lines_it_has_read():
    reader = ImportFileReader(UTC_ZONE)
    assert len(list(reader.parse_chunk(CSV + row(4)[:5]))) == 3
    assert reader.lines_read == 4
    list(reader.parse_rest())
    assert reader.lines_read == 5


# ---- invalid lines


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        pytest.param(b"2,appointment_comp", "has 2 columns instead of 4", id="incomplete"),
        pytest.param(row(2).strip() + b",more", "has 5 columns instead of 4", id="a cell too many"),
        pytest.param(b'2,"a"b,c,d', "is not valid CSV: ',' expected after '\"'", id="text after a quote"),
        pytest.param(
            b"x,appointment_completed,2026-03-01T09:30:00Z,5",
            "/customer_id must be a whole number from 0 to 4503599627370495; use customer_ref for other ids",
            id="no customer",
        ),
        pytest.param(
            b"2,appointment_completed,02/03/2026,5",
            "/occurred_at can be read in two ways: give the date format, DD/MM/YYYY or MM/DD/YYYY",
            id="an ambiguous date",
        ),
        pytest.param(row(2, "Malm\u00f6").decode().encode("latin-1").strip(), NOT_UTF_8, id="Latin-1"),
        pytest.param(b"2,\xed\xa0\x80,,", NOT_UTF_8, id="a surrogate"),
        pytest.param(b"2,\xff\xfe,,", NOT_UTF_8, id="no UTF-8 at all"),
        pytest.param(b"x" * (MAX_LINE_BYTES + 1), "is longer than 64 KiB", id="a line of more than 64 KiB"),
        pytest.param(b"x" * (5 * MAX_LINE_BYTES), "is longer than 64 KiB", id="a line of 320 KiB"),
    ],
)
def test_an_invalid_csv_line_does_not_affect_others(bad, message):
    data = HEADER + row(1) + bad + b"\n" + row(3)
    for how in ({}, {"sizes": [7 if len(bad) < 1_000 else 997]}, {"sizes": [MAX_LINE_BYTES]}):
        assert summary(read(data, **how)) == [(2, 1), (3, message), (4, 3)]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        pytest.param(
            b"{", "is not valid JSON: Expecting property name enclosed in double quotes", id="incomplete"
        ),
        pytest.param(b"[]", "must be a JSON object", id="a list"),
        pytest.param(b"null", "must be a JSON object", id="null"),
        pytest.param(b'"{}"', "must be a JSON object", id="a text"),
        pytest.param(b"nonsense", "is not valid JSON: Expecting value", id="a word"),
        pytest.param(b'{"customer_id": NaN}', "is not valid JSON: NaN is not a number", id="no number"),
        pytest.param(
            b'{"customer_id": -Infinity}', "is not valid JSON: -Infinity is not a number", id="infinity"
        ),
        pytest.param(
            b'{"customer_id": 1e999}', "is not valid JSON: 1e999 is out of range", id="beyond all floats"
        ),
        pytest.param(b'{"a":' * 10_000, "is nested too deeply", id="nested too deeply"),
        pytest.param(b'{"a": "\xff"}', "is not UTF-8", id="no UTF-8"),
        pytest.param(b'{"a": 1} {"b": 2}', "is not valid JSON: Extra data", id="two in a line"),
        pytest.param(
            b'{"a": ' + b"1" * 5_000 + b"}",
            "is not valid JSON: Exceeds the limit",
            id="a number of 5000 digits",
        ),
        pytest.param(
            b'{"a": "' + b"x" * MAX_LINE_BYTES + b'"}', "is longer than 64 KiB", id="more than 64 KiB"
        ),
    ],
)
def test_an_invalid_json_line_does_not_affect_others(bad, message):
    data = json_line(1) + bad + b"\n" + json_line(3)
    first, (number, errors), third = summary(read(data))
    assert (first, number, third) == ((1, 1), 2, (3, 3))
    assert errors.startswith(message)
    assert summary(read(data, sizes=[1_000])) == [first, (number, errors), third]


def test_an_invalid_line_has_all_errors_and_its_number():
    [invalid] = read(b"customer_id,type,occurred_at,total_amount\n,nothing,now,-1\n")
    assert isinstance(invalid, InvalidLineError)
    assert invalid.number == 2
    pointers = [error.pointer for error in invalid.errors]
    assert pointers == ["/type", "/customer_id", "/occurred_at", "/total_amount"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""], ids=["LF", "CRLF", "the end of the file"])
@pytest.mark.parametrize(
    ("length", "is_long"),
    [(MAX_LINE_BYTES - 1, False), (MAX_LINE_BYTES, False), (MAX_LINE_BYTES + 1, True)],
    ids=str,
)
def test_a_line_of_64_kib_is_read_and_a_longer_one_is_not(length, is_long, end):
    line = json_line(2)[:-2]
    line += b" " * (length - len(line) - 1) + b"}"
    assert len(line) == length
    data = json_line(1) + line + end
    expected = [(1, 1), (2, "is longer than 64 KiB" if is_long else 2)]
    assert summary(read(data)) == expected
    assert summary(read(data, sizes=[len(json_line(1)) + length])) == expected
    assert summary(read(data, sizes=[len(data) - 1])) == expected


@pytest.mark.parametrize("end", [b"\r\r\n", b"\r\r\r\r\n"], ids=["CR CR LF", "CR CR CR CR LF"])
def test_repeated_carriage_returns_do_not_depend_on_chunk_sizes(end):
    line = json_line(2)[:-2]
    data = line + b" " * (MAX_LINE_BYTES - len(line) - 1) + b"}" + end + json_line(3)
    whole = outcome(data)
    for cut in range(MAX_LINE_BYTES - 1, MAX_LINE_BYTES + len(end) + 1):
        assert outcome(data, sizes=[cut]) == whole, cut - MAX_LINE_BYTES


# ---- files that are no import files


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "The file is empty.", id="nothing"),
        pytest.param(b"\n", "The file is empty.", id="an empty line"),
        pytest.param(b"\r\n \n\n", "The file is empty.", id="blank lines"),
        pytest.param(b" ", "The file is empty.", id="a blank"),
        pytest.param(gzip.compress(b""), "The file is empty.", id="nothing, compressed"),
        pytest.param(
            b"\xffcustomer_id\n",
            "The first line is neither a CSV header nor a JSON object.",
            id="no UTF-8",
        ),
        pytest.param(b'"\n', "The first line is neither a CSV header nor a JSON object.", id="a quote"),
        pytest.param(
            b"x" * (MAX_LINE_BYTES + 1),
            "The first line is longer than 64 KiB; the file is neither CSV nor NDJSON.",
            id="one long line",
        ),
        pytest.param(
            b"\x1f\x8b",
            "The compressed file ends within its first line.",
            id="the beginning of a gzip",
        ),
        pytest.param(
            gzip.compress(CSV)[:20],
            "The compressed file ends within its first line.",
            id="a gzip that ends in its first line",
        ),
    ],
)
def test_a_file_that_is_no_import_file_is_rejected(data, message):
    for sizes in ([], [1] if len(data) < 1_000 else [997]):
        assert outcome(data, sizes=sizes) == f"MalformedError: {message}"


@pytest.mark.parametrize(
    "data", [CSV, NDJSON, b"{", b"x", b"PK\x03\x04"], ids=["CSV", "JSON", "a brace", "x", "zip"]
)
@pytest.mark.parametrize("sizes", [[], [1]], ids=["whole", "byte by byte"])
def test_a_file_declared_as_gzip_that_is_not_is_rejected(data, sizes):
    with pytest.raises(MalformedError, match="The file is declared as gzip but is not compressed") as refused:
        read(data, sizes=sizes, is_gzip=True)
    assert refused.value.offset == 0


def test_gzip_is_detected():
    packed = gzip.compress(CSV)
    assert outcome(packed) == outcome(packed, is_gzip=True) == outcome(packed, is_gzip=False) == outcome(CSV)


@pytest.mark.parametrize(
    ("header", "errors"),
    [
        pytest.param(
            "event_type,occurred_at",
            [("line 1", "lacks the column 'customer_id' (or 'customer_ref')")],
            id="no customer",
        ),
        pytest.param("customer_id,type", [("line 1", "lacks the column 'occurred_at'")], id="no instant"),
        pytest.param(
            "customer_id,occurred_at", [("line 1", "lacks the column 'type' (or 'event_type')")], id="no type"
        ),
        pytest.param(
            "Kunde,type,occurred_at",
            [
                (
                    "line 1",
                    "lacks the column 'customer_id' (or 'customer_ref'); is it 'Kunde'? Then name its field",
                )
            ],
            id="a column under another name",
        ),
        pytest.param(
            "customer_id,type,occurred_at,type",
            [("line 1", "contains a duplicate column")],
            id="a column twice",
        ),
        pytest.param(
            "customer_id,type,occurred_at,event_type",
            [("line 1", "contains a duplicate column")],
            id="a column twice, under both its names",
        ),
        pytest.param(
            "customer_id,type,occurred_at,total_amount,amount",
            [("line 1", "contains a duplicate column")],
            id="the amount twice, under both its names",
        ),
        pytest.param(
            "1;appointment_completed;2026-03-01",
            [
                ("line 1", f"lacks the column 'customer_id' (or 'customer_ref'){UNKNOWN}"),
                ("line 1", f"lacks the column 'occurred_at'{UNKNOWN}"),
                ("line 1", f"lacks the column 'type' (or 'event_type'){UNKNOWN}"),
            ],
            id="no header at all",
        ),
    ],
)
def test_an_invalid_header_is_rejected_with_its_line(header, errors):
    with pytest.raises(InvalidInputError) as refused:
        read(header.encode() + b"\n" + row(1))
    assert [(error.pointer, error.message) for error in refused.value.errors] == errors


def test_an_invalid_header_after_blank_lines_is_rejected_with_its_line():
    with pytest.raises(InvalidInputError) as refused:
        read(b"\n\ncustomer_id,type\n")
    assert [error.pointer for error in refused.value.errors] == ["line 3"]


# ---- records and columns


def test_text_in_a_quoted_cell_is_no_record():
    data = b"customer_id,type,occurred_at,amount,metadata\n"
    data += b'110,call_received,2026-02-01,10,"{""note"": ""call back\n'
    data += b'111,call_received,2026-02-02,9999,\nthanks""}"\n'
    data += b"112,call_received,2026-02-03,20,\n"
    found = read(data)
    assert summary(found) == [(2, 110), (5, 112)]
    assert summary(read(data, sizes=[1])) == summary(found)


def test_a_note_of_several_lines_is_metadata():
    text = '{""note"": ""call back\\nthanks""}'
    [line] = read(
        f'customer_id,type,occurred_at,metadata\r\n1,call_received,2026-02-01,"{text}"\r\n'.encode()
    )
    assert line.event.metadata == {"note": "call back\nthanks"}


def test_a_quote_that_is_never_closed_is_an_error_with_its_lines():
    data = HEADER + row(1) + b'2,"appointment\n' + row(3) + row(4)
    assert summary(read(data)) == [(2, 1), (3, "opens a quoted cell that does not end (lines 3 to 5)")]


def test_after_a_quoted_cell_of_more_than_64_kib_nothing_is_read():
    data = HEADER + row(1) + b'2,"appointment\n' + row(3) * 3_000
    first, (number, message) = summary(read(data))
    assert (first, number) == ((2, 1), 3)
    assert message.startswith(
        "opens a quoted cell that does not end within 64 KiB; nothing after it was read (lines 3"
    )
    assert summary(read(data, sizes=[1_000])) == [first, (number, message)]


def test_a_quote_within_a_cell_is_text():
    [line] = read(b'customer_id,type,occurred_at,booking_id\n1,call_received,2026-03-01,5" pipe\n')
    assert line.event.booking_id == '5" pipe'


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("declared", [b"", b"sep=%b\r\n"], ids=["found", "declared"])
def test_the_separator_follows_from_the_header(separator, declared):
    if declared:
        declared %= separator.encode()
    names, cells = (
        ("Customer ID", " TYPE ", "occurred-at", "stylist", ""),
        ("1", "call_received", "2026-03-01", "Kim", ""),
    )
    text = f"{separator.join(names)}\n{separator.join(cells)}\n"
    reader = ImportFileReader(UTC_ZONE)
    [line] = [*reader.parse_chunk(declared + text.encode()), *reader.parse_rest()]
    assert (line.event.customer_id, line.event.type) == (1, "call_received")
    assert reader.header.ignored == ["stylist"]


def test_the_caller_may_name_columns():
    names = {"Kundennummer": "customer_id", "Art": "type", "Datum": "occurred_at"}
    data = b"kundennummer;ART;Datum;Betrag\n7;call_received;10/11/2026;1.240\n"
    format_ = FileFormat(
        columns=names | {"betrag": "amount"}, date_format="DD/MM/YYYY", decimal_separator=","
    )
    reader = ImportFileReader(UTC_ZONE, format_=format_)
    [line] = [*reader.parse_chunk(data), *reader.parse_rest()]
    assert (line.event.customer_id, line.event.amount_cents) == (7, 124_000)
    assert line.event.occurred_at.isoformat() == "2026-11-10T00:00:00+00:00"


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: BOM + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    ],
    ids=["UTF-8", "UTF-16 LE", "UTF-16 BE"],
)
@pytest.mark.parametrize("sizes", [[], [1], [3]], ids=str)
def test_byte_order_marks_are_understood(encode, sizes):
    data = encode(
        "customer_id,type,occurred_at,booking_id\n1,call_received,2026-03-01,M\u00fcller \U0001f600\n"
    )
    [line] = read(data, sizes=sizes)
    assert line.event.booking_id == "M\u00fcller \U0001f600"


def test_the_caller_may_name_the_encoding():
    data = "customer_id,type,occurred_at,booking_id\n1,call_received,2026-03-01,M\u00fcller \u20ac\n".encode(
        "cp1252"
    )
    reader = ImportFileReader(UTC_ZONE, format_=FileFormat(encoding="windows-1252"))
    [line] = [*reader.parse_chunk(data), *reader.parse_rest()]
    assert line.event.booking_id == "M\u00fcller \u20ac"


@pytest.mark.parametrize("sizes", [[], [1], [3]], ids=str)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_utf_16_that_is_named_needs_no_mark(encoding, sizes):
    text = "customer_id,type,occurred_at,booking_id\n1,call_received,2026-03-01,M\u00fcller\n"
    [line] = read(text.encode(encoding), sizes=sizes, format_=FileFormat(encoding="utf-16"))
    assert line.event.booking_id == "M\u00fcller"


def test_a_file_that_is_not_of_the_encoding_named_is_refused():
    with pytest.raises(InvalidInputError, match="customer_id"):
        read(HEADER + row(1), format_=FileFormat(encoding="utf-16"))


def test_rows_of_separators_and_blanks_are_skipped():
    assert summary(read(HEADER + b" , ,,\n" + row(1) + b",,,\n,,,,,\n")) == [(3, 1)]


# ---- chunk sizes


good = st.integers(1, 9).map(row)
bad = st.sampled_from(
    [
        b"\n",
        b"  \r\n",
        b"1,2\n",
        b'"\n',
        b'1,"a\n\n"",b"\n',
        b'x"y\n',
        b"\xff\xff,,,\n",
        b"x" * 300 + b"\n",
        b",,,\n",
        b"9,\x00,,\r\n",
    ]
)
good_json = st.integers(1, 9).map(json_line)
bad_json = st.sampled_from(
    [b"\n", b"{\n", b"[1]\r\n", b"\xff\n", b'{"a": ' + b"9" * 300 + b"}\n", b'{"customer_id": 1}\n']
)
import_files = st.one_of(
    st.lists(st.one_of(good, bad), max_size=8).map(lambda lines: HEADER + b"".join(lines)),
    st.lists(st.one_of(good_json, bad_json), max_size=8).map(lambda lines: json_line(5) + b"".join(lines)),
)
chunk_sizes = st.lists(st.integers(1, 60), min_size=1, max_size=6)


@given(import_files, st.booleans(), st.booleans(), chunk_sizes)
def test_lines_do_not_depend_on_chunk_sizes(data, is_packed, has_end, sizes):
    data = data if has_end else data.rstrip(b"\n")
    expected = outcome(data)
    packed = gzip.compress(data) if is_packed else data
    assert outcome(packed) == expected
    assert outcome(packed, sizes=sizes) == expected
    assert outcome(packed, sizes=[1]) == expected


@given(import_files, st.lists(st.integers(0, 400), max_size=4), chunk_sizes)
def test_gzip_may_have_several_members(data, cuts, sizes):
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    packed = b"".join(gzip.compress(data[a:b]) for a, b in pairwise(edges))
    assert outcome(packed) == outcome(data)
    assert outcome(packed, sizes=sizes) == outcome(data)


# ---- incomplete, damaged, malicious


def complete_lines(packed):
    """Returns the complete lines in the beginning of a gzip file, decompressed."""
    text = zlib.decompressobj(wbits=31).decompress(packed)
    return text[: text.rfind(b"\n") + 1]


@pytest.mark.parametrize("sizes", [[], [1], [13]], ids=["whole", "byte by byte", "in thirteens"])
def test_an_incomplete_gzip_loses_its_last_line_only(sizes):
    amounts = (f"{customer * 37 % 1000}.{customer % 90 + 10}" for customer in range(40))
    data = HEADER + b"".join(row(customer, amount) for customer, amount in enumerate(amounts))
    packed = gzip.compress(data)
    for length in range(2, len(packed)):
        whole = complete_lines(packed[:length])
        found = outcome(packed[:length], sizes=sizes)
        if whole:
            assert found == [*outcome(whole), (whole.count(b"\n") + 1, INCOMPLETE)]
        else:
            assert found == "MalformedError: The compressed file ends within its first line."
    assert outcome(packed) == outcome(data)


def test_an_incomplete_second_member_loses_its_last_line_only():
    first, second = gzip.compress(CSV), gzip.compress(row(4) + row(5) * 50)
    found = outcome(first + second[:-1])
    assert found[:4] == [*outcome(CSV), (5, 4)]
    assert found[-1] == (len(found) + 1, INCOMPLETE)


def test_an_incomplete_gzip_of_high_compression_loses_its_last_line_only():
    line = b"1,call_received,2026-03-01T09:30:00Z," + b"b" * 80 + b"\n"
    packed = gzip.compress(b"customer_id,type,occurred_at,booking_id\n" + line * 8_000, 9)
    unpacker, lengths = zlib.decompressobj(wbits=31), [0]
    for byte in packed:
        lengths.append(lengths[-1] + len(unpacker.decompress(bytes([byte]))))
    cuts = [cut for cut, length in enumerate(lengths) if 0 < length - 256 * 1024 < 1_500]
    assert cuts
    for cut in cuts:
        lines = complete_lines(packed[:cut]).count(b"\n")
        found = read(packed[:cut])
        assert (len(found), summary(found[-1:])) == (lines, [(lines + 1, INCOMPLETE)])


def flipped(packed, at):
    return packed[:at] + bytes([packed[at] ^ 0xFF]) + packed[at + 1 :]


SMALL = gzip.compress(HEADER + b"".join(row(customer) for customer in range(20)), mtime=0)


@pytest.mark.parametrize("sizes", [[], [1]], ids=["whole", "byte by byte"])
def test_a_damaged_gzip_is_detected(sizes):
    sound = outcome(SMALL)
    for at in range(len(SMALL)):
        found = outcome(flipped(SMALL, at), sizes=sizes)
        is_harmless = 4 <= at <= 9  # the header fields time, flags and system
        if is_harmless:
            assert found == sound
        elif isinstance(found, list):
            assert found[-1][1] == INCOMPLETE
        else:
            assert found.startswith(("MalformedError", "InvalidInputError"))


def test_a_damaged_gzip_is_read_as_far_for_any_chunk_size():
    for at in range(10, len(SMALL)):
        damaged = flipped(SMALL, at)
        assert outcome(damaged) == outcome(damaged, sizes=[1]), at


def test_trailing_garbage_after_a_gzip_is_detected():
    assert outcome(gzip.compress(CSV) + b"garbage")[-1] == (5, INCOMPLETE)


def packed_zeros(megabytes, before=b""):
    packer = zlib.compressobj(1, wbits=31)
    packed = [packer.compress(before)]
    packed += [packer.compress(bytes(1024 * 1024)) for _ in range(megabytes)]
    return b"".join([*packed, packer.flush()])


def test_a_gzip_bomb_is_read_in_constant_memory():
    bomb = packed_zeros(200, CSV)
    assert len(bomb) < 1_000_000
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInputError, match="unpacks to more than 100 times its size"):
            read(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * 1024 * 1024


def test_a_gzip_bomb_without_a_first_line_is_rejected_early():
    reader = ImportFileReader(UTC_ZONE)
    with pytest.raises(MalformedError, match="The first line is longer than 64 KiB"):
        list(reader.parse_chunk(packed_zeros(2)))


@settings(max_examples=examples(30))
@given(st.binary(max_size=300), st.booleans(), chunk_sizes)
def test_any_bytes_are_read_or_rejected_with_an_expected_error(data, is_packed, sizes):
    packed = gzip.compress(data) if is_packed else data
    assert outcome(packed, sizes=sizes) == outcome(packed)
    assert outcome(HEADER + packed, sizes=sizes) == outcome(HEADER + packed)
    assert outcome(json_line(1) + packed, sizes=sizes) == outcome(json_line(1) + packed)
