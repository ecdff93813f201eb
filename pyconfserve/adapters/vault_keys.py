"""The keys that Spring's Vault backend asks for, in its order; no I/O."""

from __future__ import annotations

from typing import NamedTuple

from ..environment.overlay import DEFAULT_PROFILE, SHARED_APPLICATION, Lookup
from ..files import BundleName

__all__ = ["VaultKeys"]


class VaultKeys(NamedTuple):
    """How keys are made: `application[,profile]`, or with labels all three of them.

    `shared` is the application below all others, "" for none. Where labels count, one
    that is not asked for is `default_label`.
    """

    separator: str
    shared: str
    has_labels: bool
    default_label: str

    def of_lookup(self, lookup: Lookup) -> list[str]:
        """By profile, then application, the last of each first (spring-server.json).

        A list of labels is one label.
        """
        label = ",".join(lookup.labels) or self.default_label
        applications = dict.fromkeys((self.shared, *lookup.applications))
        profiles = dict.fromkeys((DEFAULT_PROFILE, *lookup.profiles))
        return [
            self._key(application, profile, label)
            for profile in reversed(profiles)
            for application in reversed(applications)
            if application
        ]

    def of_bundle(self, name: BundleName) -> str:
        """The key of one bundle, "" for one that has none."""
        shares = name.application == SHARED_APPLICATION
        application = self.shared if shares else name.application
        return self._key(application, name.profile, name.label) if application else ""

    def _key(self, application: str, profile: str, label: str) -> str:
        if self.has_labels:
            return self.separator.join((application, profile, label))
        if profile == DEFAULT_PROFILE:
            return application
        return self.separator.join((application, profile))
