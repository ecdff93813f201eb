"""Vault: the contract of stores, with eight writers.

The server is vault_server, which is held to recorded answers.
"""

import pytest
import store_contract
from store_contract import StoreContract
from vault_server import ROOT, VaultServer

from pyconfserve.adapters.vault import VaultStore


@pytest.fixture
def connect():
    """Makes stores over one empty mount that look often, and closes them in the end."""
    made = []
    with VaultServer() as server:

        def connect():
            made.append(VaultStore(f"{server.uri}/secret", token=ROOT, look=0.01))
            return made[-1]

        yield connect
        for store in made:
            store.close()


class TestContract(StoreContract):
    """What every store keeps; no text is above its limit."""

    @pytest.fixture
    def connect(self, connect, monkeypatch):
        texts = [*store_contract.TEXTS[:-1], "x" * VaultStore.limit]
        monkeypatch.setattr(store_contract, "TEXTS", texts)
        return connect
