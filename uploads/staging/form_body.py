"""A multipart/form-data body whose last field is a file, read as it arrives: fields first, then the file's bytes.

Nothing is buffered but the fields and one block. The file's size is known before its first byte: it is what the
request announces, less what came before the file and the closing boundary after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

BLOCK_SIZE = 1024**2
"""Bytes asked of the connection at a time: measured best on the WSGI server that is used."""

MAX_FIELDS_BYTES = 64 * 1024
MAX_FIELDS = 64


class BadBody(ValueError):
    """The body is not a form whose last field is the file; the message says what was wrong."""


class BodyEnded(BadBody):
    """The connection ended before the whole body had arrived."""


class FormBody:
    """Read `read_fields()` first, then `blocks()`; `filename`, `file_size` (bytes) are known in between."""

    def __init__(self, read: Callable[[int], bytes], content_type: str, content_length: int, file_field: str) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get("boundary", "")
        if kind != "multipart/form-data" or not boundary:
            raise BadBody("The form must be sent as multipart/form-data.")
        self._read = read
        self._unread = content_length
        self._length = content_length
        self._file_field = file_field
        self._closing = len(f"\r\n--{boundary}--\r\n".encode())
        self._parser = PushMultipartParser(boundary, content_length, max_segment_count=MAX_FIELDS)
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
        self.file_size = self._length - consumed - self._closing
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
        block = self._read(min(BLOCK_SIZE, self._unread))
        if not block and self._unread:
            raise BodyEnded("The connection ended before the whole form had arrived.")
        self._unread -= len(block)
        return block

    def blocks(self) -> Iterator[bytes]:
        """The file's bytes. Raises BodyEnded, or BadBody where something follows the file."""
        try:
            yield from self._file_events(self._block[self._position :])
            while self._unread:
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

    def drain(self, limit: int) -> None:
        """Read and drop at most `limit` bytes of what is unread, so that a browser sees the answer to a refusal."""
        while self._unread and limit > 0:
            try:
                limit -= len(self._next_block())
            except BodyEnded:
                return
