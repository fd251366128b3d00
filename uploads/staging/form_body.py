"""A multipart/form-data body whose last field is a file, read as it arrives: fields first, then the file's bytes.

Only the fields and one block are buffered. The file's size is known before its first byte: the announced length of the
request without what precedes the file and without the closing boundary. A body in chunks has no announced length; its
field `size` states the file's size.
"""

from __future__ import annotations

from collections.abc import Iterator

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from uploads.problems import Code, Problem, ProblemError
from uploads.staging.body import BLOCK_SIZE, Body

MAX_FIELDS_BYTES = 64 * 1024
MAX_FIELDS = 64
SIZE_FIELD = "size"
MAX_SIZE_DIGITS = 18


class BadBody(ProblemError):
    """The body is not a form whose last field is the file."""


class FormBody:
    """Call `read_fields()` first, then `blocks()`. `filename` and `file_size` (bytes) are known in between."""

    def __init__(self, body: Body, content_type: str, file_field: str) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get("boundary", "")
        if kind != "multipart/form-data" or not boundary:
            raise BadBody(Problem(Code.FORM_NOT_MULTIPART))
        self._body = body
        self._file_field = file_field
        self._closing = len(f"\r\n--{boundary}--\r\n".encode())
        self._parser = PushMultipartParser(
            boundary, -1 if body.length is None else body.length, max_segment_count=MAX_FIELDS
        )
        self._block, self._position = b"", 0
        self.filename = ""
        self.file_size = 0

    def read_fields(self) -> dict[str, str]:
        """The text fields, up to where the file's bytes start. Raises BadBody, also if there is no file."""
        fields: dict[str, bytearray] = {}
        consumed = 0
        current: bytearray | None = None
        try:
            for line in self._lines():
                consumed += len(line)
                if consumed > MAX_FIELDS_BYTES:
                    raise BadBody(Problem(Code.FORM_FIELDS_TOO_LARGE, limit_bytes=MAX_FIELDS_BYTES))
                # As a list: the parser continues only after all events of a line are consumed.
                for event in list(self._parser.parse(line)):
                    if isinstance(event, MultipartSegment):
                        if event.name == self._file_field:
                            texts = {name: value.decode() for name, value in fields.items()}
                            self._start_file(event, consumed, texts.get(SIZE_FIELD, ""))
                            return texts
                        current = fields.setdefault(event.name, bytearray())
                    elif event is not None and current is not None:
                        current += event
        except (MultipartError, UnicodeDecodeError) as error:
            raise BadBody(Problem(Code.FORM_UNREADABLE, detail=str(error))) from error
        raise BadBody(Problem(Code.FORM_FILE_MISSING, field=self._file_field))

    def _start_file(self, segment: MultipartSegment, consumed: int, stated_size: str) -> None:
        self.filename = segment.filename or ""
        if self._body.length is None:
            self.file_size = _parse_size(stated_size)
            return
        self.file_size = self._body.length - consumed - self._closing
        if self.file_size < 0:
            raise BadBody(Problem(Code.FORM_FILE_NOT_LAST))

    def _lines(self) -> Iterator[bytes]:
        """The body line by line, so that the file's headers end with a line. A block may end inside a line."""
        while block := self._next_block():
            self._block, self._position = block, 0
            while self._position < len(block):
                start = self._position
                self._position = block.find(b"\n", start) + 1 or len(block)
                yield block[start : self._position]

    def _next_block(self) -> bytes:
        return self._body.read(BLOCK_SIZE)

    def is_ready(self) -> bool:
        """Whether a read returns bytes at once."""
        return self._body.is_ready()

    def pause(self) -> None:
        """The sender is kept waiting: do not count that time as its silence."""
        self._body.pause()

    def blocks(self) -> Iterator[bytes]:
        """The file's bytes. Raises BodyEnded; BadBody if something follows the file."""
        try:
            yield from self._file_events(self._block[self._position :])
            while block := self._next_block():
                yield from self._file_events(block)
            self._parser.close()
        except MultipartError as error:
            raise BadBody(Problem(Code.FORM_UNREADABLE, detail=str(error))) from error

    def _file_events(self, block: bytes) -> Iterator[bytes]:
        if not block:
            return
        for event in self._parser.parse(block):
            if isinstance(event, MultipartSegment):
                raise BadBody(Problem(Code.FORM_FILE_NOT_LAST))
            if event is not None:
                yield event


def _parse_size(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_SIZE_DIGITS):
        raise BadBody(Problem(Code.FORM_SIZE_MISSING))
    return int(text)
