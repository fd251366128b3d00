"""`python -m dashboard.server`: the web server, see dashboard.site.server."""

from __future__ import annotations

from dashboard.site.server import main

if __name__ == "__main__":
    main()
