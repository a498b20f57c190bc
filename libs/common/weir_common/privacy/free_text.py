"""Personal data in texts that people or pages wrote: e-mail addresses, telephone numbers, cards, IP addresses, also percent-encoded.

Nearly every text is ordinary, so `may_hold_personal_data` says so in well under a microsecond; only the rest is read. What is found
becomes ``[email]``, ``[phone]``, ``[card …1234]`` or ``[ip]``, and what stands around it stays: a URL keeps its path and its other
parameters.

A number without ``+``, separators or a word like ``tel=`` before it is left alone: it is far more often an order than a telephone.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import quote, unquote

from weir_common.privacy.card_numbers import without_card_numbers, without_uuids

EMAIL: Final = "[email]"
PHONE: Final = "[phone]"
IP: Final = "[ip]"

# As in `card_numbers`, but dots stay: 0.0 is then in every IPv4 address.
_DIGITS_AS_ZEROS: Final = bytes(0x30 if 0x30 <= byte <= 0x39 else byte if byte == 0x2E else 0x78 for byte in range(256))
_DROPPED: Final = b" -()+/_"
_MANY_DIGITS: Final = b"0" * 8
_DOTTED_DIGITS: Final = b"0.0"

# No match begins inside a word that was already looked at, so the time is linear in the text.
_EMAIL: Final = re.compile(r"(?<![\w.+'%-])[\w.+'%-]{1,320}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])")
_IPV4: Final = re.compile(r"(?<![\w.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w]|\.[0-9])")
_VERSION_BEFORE: Final = re.compile(r"(?:[A-Z][A-Za-z]*/|\b[vV]er(?:sion)?[ .:=]{0,2})\Z")
_IPV6: Final = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])")
_S: Final = r"[ \-./()+]{0,2}"  # between the groups of a telephone number
_PHONE: Final = re.compile(
    r"(?<![\w+.-])(?:"
    rf"\+[1-9](?:{_S}[0-9]){{7,14}}"  # +49 30 901820
    rf"|00[1-9][0-9]{{0,2}}[ \-./()](?:{_S}[0-9]){{6,12}}"  # 0049 30 901820
    r"|\(0?[0-9]{2,4}\)[ -]?[0-9]{3,4}(?:[ -]?[0-9]){3,8}"  # (212) 555-0123
    r"|(?:1[ -.])?[2-9][0-9]{2}([ \-.])[2-9][0-9]{2}\1[0-9]{4}"  # 212-555-0123
    r"|0[1-9](?:[ .\-][0-9]{2}){4}"  # 06 12 34 56 78
    r"|0[1-9][0-9]{1,3}[ /\-][0-9]{3,4}(?:[ \-]?[0-9]{2,5}){1,3}"  # 030 901820, 020 7946 0958, 0171/1234567
    r")(?![\w]|[\-.][0-9])"
)
_NAMED_PHONE: Final = re.compile(
    rf"(?i:(?<![a-z])(?:tel|telephone|phone|phone_?number|mobile|msisdn|whatsapp|fax)[=:]\s?)(\+?[0-9](?:{_S}[0-9]){{7,14}})(?![\w])"
)
_PARTS: Final = re.compile(r"([/?&=#;])")
_MOST_ENCODINGS: Final = 3


def may_hold_personal_data(text: str) -> bool:
    """Whether the text is worth a closer look. Several texts may be asked for at once, joined by line feeds."""
    if "@" in text or "%" in text:
        return True
    shape = text.encode().translate(_DIGITS_AS_ZEROS, _DROPPED)
    return _MANY_DIGITS in shape or _DOTTED_DIGITS in shape or _may_hold_ipv6(text)


def _may_hold_ipv6(text: str) -> bool:
    # Eight groups, or fewer with a gap.
    return "::" in text or text.count(":") > 6


def without_personal_data(text: str) -> str:
    """The text with placeholders for what is found; the same text if that is nothing."""
    if not may_hold_personal_data(text):
        return text
    if "%" in text:
        text = "".join(map(_part_without, _PARTS.split(text)))
    return _plain_without(text)


def _part_without(part: str) -> str:
    """One part of a URL, which may be encoded more than once."""
    if "%" not in part:
        return part
    plain = part
    for _ in range(_MOST_ENCODINGS):
        decoded = unquote(plain)
        if decoded == plain:
            break
        plain = decoded
    found = _plain_without(plain)
    return part if found == plain else quote(found, safe="[]@:+ ")


def _plain_without(text: str) -> str:
    text = without_card_numbers(text)
    if "@" in text:
        text = _EMAIL.sub(EMAIL, text)
    if text.count(".") > 2:
        text = _IPV4.sub(_address, text)
    if _may_hold_ipv6(text):
        text = _IPV6.sub(_address, text)
    shape = text.encode().translate(_DIGITS_AS_ZEROS, _DROPPED + b".")
    if _MANY_DIGITS in shape:
        text = _NAMED_PHONE.sub(lambda found: found.group()[: -len(found.group(1))] + PHONE, text)
        text = _without_phones(text)
    return text


def _without_phones(text: str) -> str:
    """UUIDs are blotted out before the search, since their groups look like telephone numbers."""
    readable = without_uuids(text)
    pieces: list[str] = []
    done = 0
    for found in _PHONE.finditer(readable):
        pieces += (text[done : found.start()], PHONE)
        done = found.end()
    return "".join((*pieces, text[done:]))


def _address(found: re.Match[str]) -> str:
    text = found.group()
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    if isinstance(address, ipaddress.IPv4Address):
        # Chrome/120.0.0.0 and version 1.2.3.4 are none; x.0.0.0 is no host.
        before = found.string[max(0, found.start() - 40) : found.start()]
        is_version = text.endswith(".0.0.0") or _VERSION_BEFORE.search(before) is not None
        return text if is_version else IP
    # ::, std::begin and ab::cd are none: an address has a digit and more than one group.
    has_groups = sum(map(bool, text.split(":"))) > 1
    return IP if has_groups and any(character.isdigit() for character in text) else text
