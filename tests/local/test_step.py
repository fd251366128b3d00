"""What the installation shows while a step runs."""

from __future__ import annotations

import io
import sys

from local.step import Step


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(out: io.StringIO, script: str, log_seconds: float = 60) -> int:
    return Step("installing", out, log_seconds).run([sys.executable, "-c", script])


def test_log_has_a_line_for_the_start_and_the_end() -> None:
    out = io.StringIO()
    assert run(out, "print('Collecting django')") == 0
    lines = out.getvalue().splitlines()
    assert lines[0] == "partway: installing"
    assert lines[-1].startswith("partway: installing: done after ")
    assert len(lines) == 2


def test_long_step_adds_lines_to_the_log_with_the_newest_output() -> None:
    out = io.StringIO()
    # The step ends when its output was reported.
    assert run(out, "import time; print('Collecting django'); time.sleep(1)", log_seconds=0.1) == 0
    assert " s  Collecting django\n" in out.getvalue()


def test_terminal_shows_progress_on_one_line_that_disappears() -> None:
    out = Terminal()
    assert run(out, "import time; print('Collecting django'); time.sleep(1)") == 0
    shown = out.getvalue()
    assert "\r\x1b[K  " in shown
    assert "Collecting django" in shown
    assert shown.count("\n") == 2


def test_failed_step_shows_all_output_and_has_its_status() -> None:
    out = io.StringIO()
    assert run(out, "print('Collecting django'); print('no network'); raise SystemExit(3)") == 3
    assert "    Collecting django\n    no network\npartway: installing: failed after " in out.getvalue()
