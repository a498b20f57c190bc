"""Which consents an event's subject refused: decided here, once, for everybody behind the log."""

from __future__ import annotations

from weir_common.consent import NOTHING, Consent, Refused
from weir_common.events import Event


def refused_by(event: Event) -> Refused:
    """Only an explicit ``false`` refuses."""
    user = event.event_data.user_context
    profile = user.user_profile if user is not None else None
    preferences = profile.preferences if profile is not None else None
    settings = preferences.privacy_settings if preferences is not None else None
    if settings is None:
        return NOTHING
    stated = (
        (Consent.ANALYTICS, settings.analytics_consent),
        (Consent.MARKETING, settings.marketing_consent),
        (Consent.TRACKING, settings.tracking_consent),
    )
    return frozenset(consent for consent, given in stated if given is False)
