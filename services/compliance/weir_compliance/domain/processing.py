"""What GDPR Art. 15(1) and (2) ask for beside the copy and beside what each service says of itself.

The processor's view: the merchant, as controller, adds its own recipients and periods. Services report purpose,
category, legal basis and retention with their data; here is what belongs to all of them.
"""

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class ServiceNotice:
    """Plain words for one service: recipients (c), source (g), automated decisions (h)."""

    service: str
    recipients: tuple[str, ...]
    source: str
    automated_decision: str | None = None


_MERCHANT = "the merchant (controller)"
_FROM_USE = "the merchant's shop and apps, from the person's use of them"

NOTICES = (
    ServiceNotice("ingest", (_MERCHANT,), _FROM_USE),
    ServiceNotice(
        "fraud",
        (_MERCHANT,),
        "the merchant's shop and apps; derived by the fraud model",
        automated_decision=(
            "Each payment gets a score between 0 and 1 from a statistical model that weighs how often, how much, from "
            "which devices, places and payment means the account paid before. A high score can decline a payment or "
            "send it to a person for review. Every decision in this export lists the reasons and how much each one "
            "raised or lowered the score. The person may ask the merchant for a human review and contest it "
            "(Art. 22(3))."
        ),
    ),
    ServiceNotice("anomaly", (_MERCHANT,), "derived from the shop's events by rules"),
    ServiceNotice("analytics", (_MERCHANT,), _FROM_USE),
    ServiceNotice("tenant-admin", ("the operator of Weir",), "the person or their employer"),
    ServiceNotice("compliance", (_MERCHANT,), "the person or the merchant"),
)

RIGHTS = (
    "rectification (Art. 16)",
    "erasure (Art. 17)",
    "restriction of processing (Art. 18)",
    "data portability (Art. 20)",
    "objection (Art. 21)",
    "human review of automated decisions (Art. 22(3))",
)
COMPLAINT = (
    "a complaint may be lodged with the supervisory authority of the place where one lives or works, or where the "
    "infringement happened (Art. 77)"
)
TRANSFERS = "none made by the platform itself; the merchant names its own (Art. 15(2))"


def information(services: list[str]) -> dict[str, object]:
    """The members for those services, JSON-able."""
    return {
        "services": [
            {key: value for key, value in asdict(notice).items() if value is not None}
            for notice in NOTICES
            if notice.service in services
        ],
        "rights": list(RIGHTS),
        "complaint": COMPLAINT,
        "transfers": TRANSFERS,
    }
