"""What each service does with a person's data: the members that GDPR Art. 15(1) asks for beside the copy itself.

One definition a service. The processor's view: purposes and periods are those of the platform; the merchant, as
controller, adds its own.
"""

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class ProcessingActivity:
    """Plain words for one service (Art. 15(1)(a), (b), (c), (d), (g), (h))."""

    service: str
    purposes: tuple[str, ...]
    categories: tuple[str, ...]
    recipients: tuple[str, ...]
    retention: str
    source: str
    automated_decision: str | None = None


_MERCHANT = "the merchant (controller)"

ACTIVITIES = (
    ProcessingActivity(
        service="ingest",
        purposes=("receive and keep the shop's events so that the merchant can run, secure and measure the shop",),
        categories=("identifiers", "device and network data", "browsing behaviour", "orders and payment references"),
        recipients=(_MERCHANT,),
        retention="the event log keeps 7 days; receipts as long as a repeated event must be recognised",
        source="the merchant's shop and apps, from the person's use of them",
    ),
    ProcessingActivity(
        service="fraud",
        purposes=("prevent payment fraud",),
        categories=(
            "identifiers",
            "payment references",
            "location derived from the network",
            "fraud decisions with their reasons",
        ),
        recipients=(_MERCHANT,),
        retention="decisions as long as a payment can be disputed; the counters behind them expire by themselves",
        source="the merchant's shop and apps; derived by the fraud model",
        automated_decision=(
            "Each payment gets a score between 0 and 1 from a statistical model that weighs how often, how much, from "
            "which devices, places and payment means the account paid before. A high score can decline a payment or "
            "send it to a person for review. Every decision in this export lists the reasons and how much each one "
            "raised or lowered the score. The person may ask the merchant for a human review and contest it "
            "(Art. 22(3))."
        ),
    ),
    ProcessingActivity(
        service="anomaly",
        purposes=("detect attacks, abuse and faults of the shop",),
        categories=("identifiers", "behaviour that looked abnormal, with the evidence"),
        recipients=(_MERCHANT,),
        retention="findings until they are resolved and their period of evidence has ended",
        source="derived from the shop's events",
    ),
    ProcessingActivity(
        service="analytics",
        purposes=("measure how the shop does",),
        categories=("identifiers", "browsing behaviour", "orders"),
        recipients=(_MERCHANT,),
        retention="events in the archive by the merchant's own period; aggregated figures hold no person",
        source="the merchant's shop and apps, from the person's use of them",
    ),
    ProcessingActivity(
        service="tenant-admin",
        purposes=("let the merchant's staff sign in and administer",),
        categories=("accounts of the console",),
        recipients=("the operator of Weir",),
        retention="as long as the account exists",
        source="the person or their employer",
    ),
    ProcessingActivity(
        service="compliance",
        purposes=("answer requests about personal data and prove what was done",),
        categories=("requests and their answers",),
        recipients=(_MERCHANT,),
        retention="the record of a request for 24 months after the answer",
        source="the person or the merchant",
    ),
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
    """The Art. 15(1) and (2) members for those services, JSON-able."""
    return {
        "activities": [
            {key: value for key, value in asdict(activity).items() if value is not None}
            for activity in ACTIVITIES
            if activity.service in services
        ],
        "rights": list(RIGHTS),
        "complaint": COMPLAINT,
        "transfers": TRANSFERS,
    }
