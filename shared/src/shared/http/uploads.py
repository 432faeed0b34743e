"""Reads uploads: multipart/form-data with one file, in chunks, in the contract's order of checks."""

import logging
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from shared.http.access import check_scope
from shared.http.bodies import ClientGone
from shared.http.call import Call
from shared.http.problems import ProblemError, invalid, is_shown
from shared.rules import limits
from shared.rules.file_names import sent_names
from shared.schemas.problems import FieldError

# what a client sends wrong is answered; it is nothing to warn the operator of
logging.getLogger("python_multipart").setLevel(logging.ERROR)

FORM_SCHEMA = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": False,
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            }
        },
    }
}

_ENVELOPE_MAX_BYTES = 64 * 1024
"""What may be around the file: boundaries and the headers of parts."""
_PARTS_MAX = 16
"""Beyond it nobody looks for what else is wrong."""
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = re.compile(
    rf'{_WORD}/{_WORD}(?:[ \t]*;[ \t]*{_WORD}=(?:{_WORD}|"(?:[^"\\\x00-\x1f\x7f-\U0010ffff]|\\[ -~])*"))*'
).fullmatch
_UNNAMED_MEDIA_TYPE = "application/octet-stream"
_MALFORMED = "The body is no whole multipart/form-data."


@dataclass(frozen=True, slots=True)
class Stored:
    """A file whose bytes are stored; `sha256` in lower-case hexadecimal digits."""

    filename: str
    media_type: str
    size: int
    sha256: str


class Upload:
    """A body that nobody has read yet, and what is wrong with the rest of its request."""

    def __init__(self, call: Call, found: list[FieldError]) -> None:
        self._call = call
        self._found = found

    async def store(self, file_id: UUID) -> Stored:
        """Reads the request to its end and stores the file. Raises ProblemError, ClientGone, Unavailable;
        nothing is stored then. FIL-1"""
        call = self._call
        most = call.state.settings.max_upload_bytes
        length = call.header(b"content-length")
        if length is not None and int(length) > most + _ENVELOPE_MAX_BYTES:
            raise ProblemError("payload-too-large")
        form = _Form(_boundary(call.header(b"content-type")), most)
        async with call.state.files.writing(file_id) as writing:
            async for body in _pieces(call, most + _ENVELOPE_MAX_BYTES):
                await writing.write(form.feed(body))
            found = self._found + form.end()
            if found:
                raise ProblemError("validation", field_errors=found)
            check_scope(call.scopes, call.scope["method"])
        return Stored(form.filename, form.media_type, writing.size, writing.sha256)


class _Form:
    """What the parser tells of a form whose parts hold `most` bytes."""

    def __init__(self, boundary: bytes, most: int) -> None:
        self.filename = ""
        self.media_type = _UNNAMED_MEDIA_TYPE
        self._parser = _parser(self, boundary)
        self._left = most
        self._parts = 0
        self._files = 0
        self._wrong: list[FieldError] = []
        self._is_whole = False
        self._in_file = False
        self._data: list[bytes] = []
        self._header = b"", b""
        self._headers: dict[bytes, bytes] = {}

    def feed(self, body: bytes) -> bytes:
        """The file's bytes in the next piece of the body."""
        try:
            self._parser.write(body)
        except FormParserError as error:
            raise ProblemError("malformed-json", _MALFORMED) from error
        data = b"".join(self._data)
        self._data.clear()
        return data

    def end(self) -> list[FieldError]:
        """What is wrong with the form."""
        if not self._is_whole:
            raise ProblemError("malformed-json", _MALFORMED)
        if self._files == 0:
            self._wrong.append(invalid("body", "file", msg="is missing", kind="missing"))
        return self._wrong

    def on_part_begin(self) -> None:
        self._headers = {}
        self._parts += 1
        if self._parts > _PARTS_MAX:
            raise ProblemError("validation", field_errors=self._wrong)

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        name, value = self._header
        self._header = name + data[start:end], value

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        name, value = self._header
        self._header = name, value + data[start:end]

    def on_header_end(self) -> None:
        name, value = self._header
        self._headers.setdefault(name.lower(), value)
        self._header = b"", b""

    def on_headers_finished(self) -> None:
        try:
            name, filename = sent_names(self._headers.get(b"content-disposition", b"").decode())
        except UnicodeDecodeError:
            name, filename = None, None
        self._in_file = name == "file"
        if not self._in_file:
            shown = (name,) if name is not None and is_shown(name) else ()
            self._wrong.append(invalid("body", *shown, msg="is unknown", kind="extra_forbidden"))
            return
        self._files += 1
        if self._files > 1:
            self._wrong.append(invalid("body", "file", msg="is sent more than once", kind="repeated"))
            return
        self._take_names(filename or "")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._left -= end - start
        if self._left < 0:
            raise ProblemError("payload-too-large")
        if self._in_file:
            self._data.append(data[start:end])

    def on_end(self) -> None:
        self._is_whole = True

    def _take_names(self, filename: str) -> None:
        if not 1 <= len(filename) <= limits.FILENAME_MAX or "\0" in filename:
            msg = f"must have a file name of 1 to {limits.FILENAME_MAX} characters, none of them U+0000"
            self._wrong.append(invalid("body", "file", msg=msg, kind="file_name"))
        self.filename = filename
        media_type = self._headers.get(b"content-type", b"").strip(b" \t").decode("latin-1")
        if media_type and not _MEDIA_TYPE(media_type):
            self._wrong.append(invalid("body", "file", msg="has no valid media type", kind="media_type"))
        self.media_type = media_type or _UNNAMED_MEDIA_TYPE


def _parser(form: _Form, boundary: bytes) -> MultipartParser:
    try:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": form.on_part_begin,
                "on_part_data": form.on_part_data,
                "on_header_field": form.on_header_field,
                "on_header_value": form.on_header_value,
                "on_header_end": form.on_header_end,
                "on_headers_finished": form.on_headers_finished,
                "on_end": form.on_end,
            },
        )
    except FormParserError as error:
        raise ProblemError("malformed-json", _MALFORMED) from error


def _boundary(content_type: str | None) -> bytes:
    media_type, parameters = parse_options_header(content_type)
    if media_type != b"multipart/form-data":
        raise ProblemError("unsupported-media-type", "Send the file as multipart/form-data.")
    if not (boundary := parameters.get(b"boundary")):
        raise ProblemError("malformed-json", _MALFORMED)
    return boundary


async def _pieces(call: Call, most: int) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await call.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body = message.get("body", b"")
        most -= len(body)
        if most < 0:
            raise ProblemError("payload-too-large")
        yield body
        more = message.get("more_body", False)
