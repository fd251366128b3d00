"""A multipart/form-data body whose last field is a file, read as it arrives: fields first, then the file's bytes.

Nothing is buffered but the fields and one block. The file's size is known before its first byte: it is what the
request announces, less what came before the file and the closing boundary after it.
"""

from __future__ import annotations

from collections.abc import Iterator

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from uploads.staging.body import BLOCK_SIZE, Body

MAX_FIELDS_BYTES = 64 * 1024
MAX_FIELDS = 64


class BadBody(ValueError):
    """The body is not a form whose last field is the file; the message says what was wrong."""


class FormBody:
    """Read `read_fields()` first, then `blocks()`; `filename`, `file_size` (bytes) are known in between."""

    def __init__(self, body: Body, content_type: str, file_field: str) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get("boundary", "")
        if kind != "multipart/form-data" or not boundary:
            raise BadBody("The form must be sent as multipart/form-data.")
        self._body = body
        self._file_field = file_field
        self._closing = len(f"\r\n--{boundary}--\r\n".encode())
        self._parser = PushMultipartParser(boundary, body.length, max_segment_count=MAX_FIELDS)
        self._block, self._position = b"", 0
        self.filename = ""
        self.file_size = 0

    def read_fields(self) -> dict[str, str]:
        """The text fields, up to where the file's bytes begin. Raises BadBody where there is no file."""
        fields: dict[str, bytearray] = {}
        consumed = 0
        current: bytearray | None = None
        try:
            for line in self._lines():
                consumed += len(line)
                if consumed > MAX_FIELDS_BYTES:
                    raise BadBody(f"The fields before the file have more than {MAX_FIELDS_BYTES} bytes.")
                # As a list: the parser goes on only after all events of a line have been taken.
                for event in list(self._parser.parse(line)):
                    if isinstance(event, MultipartSegment):
                        if event.name == self._file_field:
                            self._begin_file(event, consumed)
                            return {name: value.decode() for name, value in fields.items()}
                        current = fields.setdefault(event.name, bytearray())
                    elif event is not None and current is not None:
                        current += event
        except (MultipartError, UnicodeDecodeError) as error:
            raise BadBody(f"The form could not be read: {error}") from error
        raise BadBody(f"The form has no field {self._file_field!r}.")

    def _begin_file(self, segment: MultipartSegment, consumed: int) -> None:
        self.filename = segment.filename or ""
        self.file_size = self._body.length - consumed - self._closing
        if self.file_size < 0:
            raise BadBody("The file must be the last field of the form.")

    def _lines(self) -> Iterator[bytes]:
        """The body line by line, so that a file's headers end where a line ends; a block's last line may go on."""
        while block := self._next_block():
            self._block, self._position = block, 0
            while self._position < len(block):
                start = self._position
                self._position = block.find(b"\n", start) + 1 or len(block)
                yield block[start : self._position]

    def _next_block(self) -> bytes:
        return self._body.read(BLOCK_SIZE)

    def is_ready(self) -> bool:
        """Whether a read would give bytes at once."""
        return self._body.is_ready()

    def pause(self) -> None:
        """We keep the sender waiting: that is no silence of his."""
        self._body.pause()

    def blocks(self) -> Iterator[bytes]:
        """The file's bytes. Raises BodyEnded, or BadBody where something follows the file."""
        try:
            yield from self._file_events(self._block[self._position :])
            while self._body.left:
                yield from self._file_events(self._next_block())
            self._parser.close()
        except MultipartError as error:
            raise BadBody(f"The form could not be read: {error}") from error

    def _file_events(self, block: bytes) -> Iterator[bytes]:
        if not block:
            return
        for event in self._parser.parse(block):
            if isinstance(event, MultipartSegment):
                raise BadBody("The file must be the last field of the form.")
            if event is not None:
                yield event
