"""HTML pages of the service: one style, no scripts, no external resources."""

import base64
import hashlib
import html
from typing import Final

from fastapi.responses import HTMLResponse

STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1f2937; background: #f3f4f6; margin: 0; }
main { max-width: 22rem; margin: 15vh auto 0; padding: 2rem; background: #fff; border-radius: .75rem;
  box-shadow: 0 1px 3px rgb(0 0 0 / .15); }
h1 { font-size: 1.25rem; margin: 0 0 1rem; overflow-wrap: anywhere; }
p { margin: 0 0 .75rem; overflow-wrap: anywhere; }
label { display: block; font-size: .875rem; margin-bottom: .25rem; }
input { width: 100%; box-sizing: border-box; font: inherit; padding: .5rem; border: 1px solid #9ca3af;
  border-radius: .375rem; }
button, .button { display: block; width: 100%; box-sizing: border-box; margin-top: 1rem; padding: .6rem; font: inherit;
  text-align: center; text-decoration: none; color: #fff; background: #1d4ed8; border: 0; border-radius: .375rem;
  cursor: pointer; }
p.error { margin: 0 0 1rem; padding: .5rem .75rem; background: #fef2f2; color: #991b1b; border-radius: .375rem; }
"""
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def page(title: str, heading: str, inner: str, *, status: int = 200) -> HTMLResponse:
    """Returns a page. `inner` is HTML; `title` and `heading` are text."""
    return HTMLResponse(
        f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title><style>{STYLE}</style></head>
<body><main><h1>{html.escape(heading)}</h1>{inner}</main></body></html>""",
        status_code=status,
        # A form of a page without a referrer is sent with the origin `null`, which is not this service's.
        headers={"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"},
    )


def error_paragraph(text: str) -> str:
    """Returns an error message as HTML."""
    return f'<p class="error" role="alert">{html.escape(text)}</p>'
