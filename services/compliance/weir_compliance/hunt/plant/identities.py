"""Made-up identities that exist nowhere else, so that whatever is found was planted: pure, seeded."""

import ipaddress
import uuid
from random import Random
from typing import Final

PATTERNS: Final = ("email", "phone", "card", "ipv4", "ipv6")
"""What people and pages write into free text; the order in which the planter goes round."""

_MAILBOXES: Final = (
    "{first}.{tag}@example.com",
    "{First}+{tag}@Example.org",
    "{first}_{tag}@müller.example",
    "o'{first}.{tag}@example.net",
)
_NAMES: Final = ("ada", "grace", "alan", "edsger", "barbara", "donald", "radia", "katherine")
_CARD_PREFIXES: Final = ("4", "51", "37", "6011")
_GROUPINGS: Final = ("", " ", "-")


class Identities:
    """One generator of values; the same seed gives the same values."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def pattern(self, name: str) -> str:
        """A value that a scanner must recognise. KeyError for a pattern that does not exist."""
        makers = {
            "email": self.email,
            "phone": self.phone,
            "card": self.card,
            "ipv4": self.ipv4,
            "ipv6": self.ipv6,
        }
        return makers[name]()

    def email(self) -> str:
        """Some with a plus, an apostrophe, capitals or letters outside of ASCII."""
        first = self._random.choice(_NAMES)
        return self._random.choice(_MAILBOXES).format(first=first, First=first.title(), tag=self.word(10))

    def phone(self) -> str:
        """Thirteen digits: fewer would be found in numbers that are something else."""
        digits = "".join(self._random.choices("0123456789", k=10))
        return self._random.choice(("+49 1{} {}", "+441{}{}", "+1 ({}) {}-99", "+331-{}-{}")).format(
            digits[:3], digits[3:]
        )

    def card(self) -> str:
        """Fifteen or sixteen digits with Luhn's check digit, sometimes in groups of four."""
        prefix = self._random.choice(_CARD_PREFIXES)
        length = 15 if prefix == "37" else 16
        body = prefix + "".join(self._random.choices("0123456789", k=length - 1 - len(prefix)))
        number = body + luhn_digit(body)
        separator = self._random.choice(_GROUPINGS)
        return separator.join(number[start : start + 4] for start in range(0, length, 4)) if separator else number

    def ipv4(self) -> str:
        """Three digits in each part: no address is the beginning of another."""
        return ".".join(str(self._random.randint(101, 199)) for _ in range(4))

    def ipv6(self) -> str:
        """Global, in its short form."""
        return str(ipaddress.IPv6Address((0x20010DB8 << 96) | self._random.getrandbits(96)))

    def uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def word(self, length: int) -> str:
        """Letters and digits, beginning with a letter."""
        letters = "abcdefghijkmnpqrstuvwxyz"
        rest = self._random.choices(letters + "23456789", k=length - 1)
        return self._random.choice(letters) + "".join(rest)

    def hex(self, digits: int) -> str:
        return f"{self._random.getrandbits(digits * 4):0{digits}x}"

    def degrees(self) -> str:
        """A latitude or longitude with all 15 digits that a double keeps: the nine of one with seven decimals, which are also
        looked for without their point, are found by chance among the mesh's own numbers (once in some 30 hunts).

        The last one is no zero, which a number would lose.
        """
        whole = self._random.randint(10, 89) * self._random.choice((-1, 1))
        return f"{whole}.{self._random.randrange(10**11, 10**12)}{self._random.randint(1, 9)}"


def luhn_digit(body: str) -> str:
    """The check digit that makes ``body`` plus it pass (ISO/IEC 7812-1 annex B)."""
    total = 0
    for index, digit in enumerate(reversed(body)):
        doubled = int(digit) * (2 if index % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return str(-total % 10)
