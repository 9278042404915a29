"""Tells whether a text is the name of somebody in X.500's sense, such as a certificate's subject."""

from __future__ import annotations

import re
from typing import Final

_KEYWORDS: Final = (
    "CN|C|L|ST|S|O|OU|T|IP|STREET|DC|DNQUALIFIER|DNQ|SURNAME|GIVENNAME|INITIALS|GENERATION|EMAILADDRESS|EMAIL"
    "|UID|SERIALNUMBER"
)
_ESCAPE: Final = r'\\(?:[0-9a-f]{2}|[ ,+=<>\#;"\\\n])'
_PART: Final = re.compile(
    rf"""
    [\x00-\x20]* (?: {_KEYWORDS} | (?:OID\.)? (?: 0*[01]\.0*[1-3]?[0-9] | 0*2\.[0-9]+ ) (?:\.[0-9]+)* )
    [\x00-\x20]* =
    (?: [ \n]* (?: \#(?:[0-9a-f]{{2}})+ | "(?:[^"\\]|{_ESCAPE})*" ) [ \n]* (?=[,;+]|\Z)
      | (?! [ \n]*[\#"] ) (?:[^,+<>;"\\]|{_ESCAPE})* )
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
"""attribute=value, up to what separates it from the next."""


def is_name(text: str) -> bool:
    """Whether Java's X500Principal takes it: RFC 2253 and the older forms, the empty name included."""
    at = 0
    while text:
        part = _PART.match(text, at)
        if part is None:
            return False
        at = part.end()
        if at == len(text):
            return True
        if text[at] not in ",;+":
            return False
        at += 1
    return True
