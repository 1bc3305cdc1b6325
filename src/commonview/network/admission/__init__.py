"""Who may join: the quarantine of unknown devices, bans with an end, passwords of their own."""

from commonview.network.admission.model import (
    AdmissionInvalid,
    Application,
    ApplicationState,
    ApplicationUnknown,
    Lockout,
    Rule,
    RuleEffect,
    RuleSubject,
    RuleUnknown,
)

__all__ = [
    "AdmissionInvalid",
    "Application",
    "ApplicationState",
    "ApplicationUnknown",
    "Lockout",
    "Rule",
    "RuleEffect",
    "RuleSubject",
    "RuleUnknown",
]
