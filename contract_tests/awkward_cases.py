"""What is awkward, by kind: the bytes that are sent, and for what is accepted what it reads back as."""

import json
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

MEBIBYTE = 1024 * 1024
GRIN = "\U0001f600"

TEXTS = {
    "composed letter (NFC)": "caf\u00e9",
    "decomposed letter (NFD)": "cafe\u0301",
    "spaces around": "  x  ",
    "one space": " ",
    "tab, CR and LF": "\t\r\n",
    "control characters": "\u0001\u001f\u007f\u0085",
    "no-break and ideographic space": "\u00a0\u3000",
    "emoji joined by U+200D": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "right-to-left override": "\u202eabc\u202c",
    "byte order mark inside": "\ufeffx\ufeff",
    "noncharacters": "\ufffe\uffff",
    "last code point": "\U0010ffff",
    "line separators": "\u2028\u2029",
    "letters that change length when folded": "\u00df\u0130\ufb01\u03c2",
    "full-width letters": "\uff21\uff22",
    "double quotes and backslashes": '"a\\"b\\',
    "single quotes": "'; drop table users; --",
    "LIKE signs": "100%_\\%",
    "the word NULL": "NULL",
    "array syntax": '{a,"b",NULL}',
    "dollar word": "$title",
    "format signs": "%s {0} ${x} $1 :name",
    "markup": "<b>&amp;</b>",
    "digits only": "00123",
}
LONE_SURROGATES = {
    "high surrogate alone": rb'"\ud800"',
    "low surrogate alone": rb'"x\udc00"',
    "surrogates the wrong way round": rb'"\ude00\ud83d"',
    "high surrogate before a letter": rb'"\ud83dx"',
}
NULS = {"U+0000 alone": rb'"\u0000"', "U+0000 inside": rb'"a\u0000b"'}

KEPT_NUMBERS: dict[str, tuple[bytes, int | float]] = {
    "2^53 + 1": (b"9007199254740993", 2**53 + 1),
    "-(2^53 + 1)": (b"-9007199254740993", -(2**53) - 1),
    "2^63 - 1": (b"9223372036854775807", 2**63 - 1),
    "-2^63": (b"-9223372036854775808", -(2**63)),
    "one as a float": (b"1.0", 1),
    "a hundred with an exponent": (b"1E2", 100),
    "minus zero, an integer": (b"-0", 0),
    "minus zero, a float": (b"-0.0", 0),
    "1e16": (b"1e16", 10**16),
    "-2^63 as a float": (b"-9223372036854775808.0", -(2**63)),
    "2^63 as a float": (b"9223372036854775808.0", 2.0**63),
    "1e22": (b"1e22", 1e22),
    "1e23": (b"1e23", 1e23),
    "1e300": (b"1e300", 1e300),
    "1e308": (b"1e308", 1e308),
    "the largest float": (b"1.7976931348623157e308", 1.7976931348623157e308),
    "the smallest float": (b"5e-324", 5e-324),
    "a tenth": (b"0.1", 0.1),
    "more digits than a float has": (b"0.1234567890123456789", 0.12345678901234568),
    "half of an odd number over 2^52": (b"4503599627370497.5", 4503599627370497.5),
}
REFUSED_NUMBERS = {
    "2^63": b"9223372036854775808",
    "-2^63 - 1": b"-9223372036854775809",
    "2^64": b"18446744073709551616",
    "an integer of 401 digits": b"1" + b"0" * 400,
    "an integer of 4,401 digits": b"1" + b"0" * 4400,
    "an integer of 100,001 digits": b"-1" + b"0" * 100_000,
    "1e400": b"1e400",
    "-1e400": b"-1e400",
    "NaN": b"NaN",
    "Infinity": b"Infinity",
    "-Infinity": b"-Infinity",
}
KEPT_KEYS = {
    "the empty key": "",
    "key $set": "$set",
    "key $ref": "$ref",
    "key $": "$",
    "key a.b": "a.b",
    "key .": ".",
    "key _id": "_id",
    "key id": "id",
    "key __proto__": "__proto__",
    "key with a quote": "'\"",
    "key of 2,000 characters": "k" * 2000,
    "key 0": "0",
}
KEPT_CONTENTS = {
    "empty object": b"{}",
    "a DBRef's form": b'{"$ref":"users","$id":"x","$db":"y"}',
    "a DBRef's form inside": b'{"a":[{"$ref":"users","$id":1}]}',
    "extended JSON's forms": b'{"a":{"$oid":"507f1f77bcf86cd799439011"},"b":{"$date":0}}',
    "operators as keys": b'{"$gt":1,"$where":"sleep(1)","$literal":{"$add":[1,2]}}',
    "an _id inside": b'{"_id":1,"a":{"_id":{"_id":null}}}',
    "dotted keys beside nested ones": b'{"a.b":1,"a":{"b":2}}',
    "composed and decomposed key": '{"caf\u00e9":1,"cafe\u0301":2}'.encode(),
    "keys that differ in case": b'{"a":1,"A":2}',
    "null, false, zero and empty": b'{"a":null,"b":false,"c":0,"d":"","e":[],"f":{}}',
    "nested empties": b'{"a":[[],{},[{}]],"b":{"c":{}}}',
    "a list of unlike things": b'{"a":[1,"1",true,null,1.5,{"1":1},[1]]}',
    "many keys": json.dumps({f"k{i}": i for i in range(5000)}).encode(),
}


def nested(depth: int, opening: bytes, closing: bytes) -> bytes:
    """An object that is `depth` levels deep, the object itself being the first."""
    return b'{"a":' + opening * (depth - 2) + b"{}" + closing * (depth - 2) + b"}"


def sized(size: int, filler: bytes, width: int) -> bytes:
    """A content of `size` bytes as compact UTF-8; `filler` is how a character of `width` bytes is sent."""
    count, rest = divmod(size - len(b'{"v":""}'), width)
    return b'{"v":"' + b"x" * rest + filler * count + b'"}'


DEPTHS = {"arrays": (b"[", b"]"), "objects": (b'{"a":', b"}")}
ESCAPED_GRIN = rb"\ud83d\ude00"
BOUNDARY_CONTENTS = {
    "exactly 1 MiB": sized(MEBIBYTE, b"x", 1),
    "exactly 1 MiB, sent with spaces": sized(MEBIBYTE, b"x", 1).replace(b":", b" : "),
    "exactly 1 MiB, sent as escapes of 3 MiB": sized(MEBIBYTE, ESCAPED_GRIN, 4),
    "1 MiB after floats became integers": b'{"v":[' + b"1.0," * ((MEBIBYTE - 9) // 2) + b"1]}",
}
REFUSED_CONTENTS = {
    "one byte over 1 MiB": sized(MEBIBYTE + 1, b"x", 1),
    "one byte over 1 MiB in emoji": sized(MEBIBYTE + 1, GRIN.encode(), 4),
    "null": b"null",
    "an array": b"[]",
    "a string": b'"{}"',
    "a number": b"1",
}
MALFORMED_VALUES = {
    "leading zero": b"01",
    "leading plus": b"+1",
    "no digit before the point": b".5",
    "no digit after the point": b"1.",
    "hexadecimal": b"0x10",
    "underscore": b"1_000",
    "lower-case nan": b"nan",
    "undefined": b"undefined",
    "Python's True": b"True",
    "a string in single quotes": b"'a'",
    "trailing comma in a list": b"[1,]",
    "trailing comma in an object": b'{"a":1,}',
    "a bare key": b"{a:1}",
    "a raw control character": b'"\x01"',
    "a raw line feed": b'"a\nb"',
    "an unknown escape": rb'"\x41"',
    "a short escape": rb'"\u12"',
    "a comment": b"1 /* one */",
    "two values": b"1 2",
    "a byte that is not UTF-8": b'"\xff"',
    "a surrogate in raw bytes": b'"\xed\xa0\x80"',
    "an overlong U+0000": b'"\xc0\x80"',
}
MALFORMED_BODIES = {
    "nothing": b"",
    "white space": b" \n",
    "a BOM": b'\xef\xbb\xbf{"owner_id":"x","title":"t"}',
    "UTF-16": '{"title":"t"}'.encode("utf-16"),
    "cut short": b'{"owner_id":"x","title":"t',
    "text after the end": b'{"owner_id":"x","title":"t"}x',
    "brackets that never close": b"[" * 20,
}
LONG_EMAIL = "<unique>@" + "d" * 33 + ".example.org" * 17
"""254 characters when `<unique>` is 16."""
KEPT_EMAILS = {
    "254 characters": LONG_EMAIL,
    "upper case and a plus": "Ada+Notes.<unique>@Example.ORG",
    "a dollar and other signs": "$where!#%&*/=?^_{|}~-<unique>@example.org",
    "letters of other scripts": "\u7528\u6237<unique>@\u4f8b\u5b50.\u516c\u53f8",
    "decomposed letter (NFD)": "cafe\u0301<unique>@example.org",
    "letters that change length when folded": "stra\u00dfe\ufb01\u0130<unique>@example.org",
    "full-width letters": "\uff21<unique>@example.org",
}
REFUSED_EMAILS = {
    "empty": "",
    "no at sign": "<unique>.example.org",
    "two at signs": "<unique>@x@example.org",
    "no local part": "@<unique>.example.org",
    "no domain": "<unique>@",
    "a domain of one label": "<unique>@localhost",
    "an empty label": "<unique>@example..org",
    "a domain that begins with a dot": "<unique>@.example.org",
    "a domain that ends with a dot": "<unique>@example.org.",
    "an underscore in the domain": "<unique>@ex_ample.org",
    "an address literal": "<unique>@[127.0.0.1]",
    "a leading dot": ".<unique>@example.org",
    "a trailing dot": "<unique>.@example.org",
    "a double dot": "a..<unique>@example.org",
    "a space inside": "a <unique>@example.org",
    "a space around": " <unique>@example.org",
    "a line feed at the end": "<unique>@example.org\n",
    "a control character": "a\u007f<unique>@example.org",
    "a quoted local part": '"a"<unique>@example.org',
    "a comma": "a,<unique>@example.org",
    "a name with brackets": "Ada <<unique>@example.org>",
    "a local part of 65 characters": "l" * 65 + "@example.org",
    "255 characters": LONG_EMAIL + "g",
}
WRONG_TYPES = {
    "null": b"null",
    "a number": b"1",
    "a boolean": b"true",
    "a list": b'["x"]',
    "an object": b'{"a":"x"}',
}
TAG_LISTS: dict[str, tuple[bytes, Json]] = {
    "composed beside decomposed": ('["caf\u00e9","cafe\u0301"]'.encode(), ["caf\u00e9", "cafe\u0301"]),
    "repeats, in order of first appearance": (b'["b","a","b","A","a"]', ["b", "a", "A"]),
    "33 with one repeat": (json.dumps([*map(str, range(32)), "0"]).encode(), [*map(str, range(32))]),
    "none": (b"[]", []),
}
REFUSED_TAG_LISTS = {
    "33": json.dumps([*map(str, range(33))]).encode(),
    "null": b"null",
    "a string": b'"abc"',
    "a list inside": b'[["a"]]',
    "null inside": b'["a",null]',
}
REFUSED_QUERIES = {
    "U+0000 in q": "q=%00",
    "U+0000 in tag": "tag=a%00",
    "U+0000 in a bare filter value": "where=v:eq:a%00",
    "U+0000 escaped in a filter value": "where=v:eq:%22%5Cu0000%22",
    "U+0000 in a filter path": "where=v%00:eq:1",
    "a byte that is not UTF-8 in q": "q=%FF",
    "a byte that is not UTF-8 in tag": "tag=%FF",
    "a byte that is not UTF-8 in a filter value": "where=v:eq:%FF",
    "a surrogate in bytes": "q=%ED%A0%80",
    "an overlong U+0000": "q=%C0%80",
    "a lone surrogate escaped in a filter value": "where=v:eq:%22%5Cud800%22",
    "2^63 in a filter": "where=v:eq:9223372036854775808",
    "an integer of 401 digits in a filter": "where=v:eq:1" + "0" * 400,
    "1e400 in a filter": "where=v:eq:1e400",
    "-Infinity in a filter": "where=v:eq:-Infinity",
    "a leading zero in a filter": "where=v:eq:01",
    "a minus alone in a filter": "where=v:eq:-",
    "an open string in a filter": "where=v:eq:%22a",
    "an open object in a filter": "where=v:eq:%7B",
    "a list in a filter": "where=v:eq:%5B1%5D",
    "an object in a filter": "where=v:eq:%7B%22%24gt%22:1%7D",
    "deep nesting in a filter": "where=v:eq:" + "%5B" * 1000 + "%5D" * 1000,
    "an operator in a filter path": "where=%24where:eq:1",
    "limit of 2^63": "limit=9223372036854775808",
    "limit in other digits": "limit=%D9%A1",
    "limit -1": "limit=-1",
    "limit 0": "limit=0",
    "limit 1.0": "limit=1.0",
    "limit with a space": "limit=%201",
    "an empty limit": "limit=",
    "an empty tag": "tag=",
    "an empty sort": "sort=",
    "an empty cursor": "cursor=",
    "an unknown parameter": "offset=1",
    "a parameter with brackets": "where%5B%24ne%5D=1",
    "an owner in capitals": "owner_id=0197F000-0000-7000-8000-000000000000",
    "an owner in braces": "owner_id=%7B0197f000-0000-7000-8000-000000000000%7D",
}
WORKING_QUERIES: dict[str, tuple[str, Json]] = {
    "NaN, a bare word": ("where=v:eq:NaN", "NaN"),
    "Infinity, a bare word": ("where=v:eq:Infinity", "Infinity"),
    "a bare word with colons": ("where=v:eq:a:b:c", "a:b:c"),
    "a bare word with an operator": ("where=v:eq:$gt", "$gt"),
    "a bare word with a plus": ("where=v:eq:%2B1", "+1"),
    "spaces around a bare word": ("where=v:eq:%20x%20", " x "),
    "no value": ("where=v:eq:", ""),
    "True, a bare word": ("where=v:eq:True", "True"),
    "a number in a string": ("where=v:eq:%221%22", "1"),
    "an emoji": ("where=v:eq:%F0%9F%98%80", GRIN),
    "an emoji as escapes": ("where=v:eq:%22%5Cud83d%5Cude00%22", GRIN),
    "minus zero": ("where=v:eq:-0.0", 0),
    "2^63 - 1": ("where=v:eq:9223372036854775807", 2**63 - 1),
    "2^53 + 1": ("where=v:eq:9007199254740993", 2**53 + 1),
    "1e22": ("where=v:eq:1e22", 1e22),
    "1e308": ("where=v:eq:1e308", 1e308),
    "one with an exponent": ("where=v:eq:10e-1", 1),
}
