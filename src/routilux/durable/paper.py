"""The forms in which the jobs of a flow are kept: they depend on what the flow consists of, and on its types."""

from __future__ import annotations

from typing import NamedTuple

from routilux.durable.journal_key import journal_key_of
from routilux.durable.payload import Payloads
from routilux.durable.records import Records
from routilux.durable.request import Requests
from routilux.durable.stored_error import known_exceptions, named_by
from routilux.durable.structure import Structure, structure_of
from routilux.flow import FlowDefinition
from routilux.flow_types import types_of
from routilux.payloads import Codec
from routilux.payloads.pickled import Pickles
from routilux.settings import Settings
from routilux.stores.port import Store


class Forms(NamedTuple):
    """How facts and requests become bytes, and the structure that goes with them."""

    records: Records
    requests: Requests
    structure: Structure


class Paper:
    """Makes the forms of a flow, anew when it has changed."""

    def __init__(self, flow: FlowDefinition, settings: Settings, store: Store) -> None:
        self._flow = flow
        self._settings = settings
        self._store = store
        self._made: tuple[int, Forms] | None = None

    @property
    def forms(self) -> Forms:
        """The forms of the flow as it is now."""
        if self._made is None or self._made[0] != self._flow.version:
            strategies = [member.options.strategy for member in self._flow.routines.values()]
            known = known_exceptions(named_by([*strategies, self._settings.error_strategy]))
            codec = Codec(types_of(self._flow), max_payload=self._settings.max_payload, pickles=self._pickles())
            payloads = Payloads(codec, self._store.save, self._store.load)
            requests = Requests(payloads, self._settings, known)
            forms = Forms(Records(payloads, known), requests, structure_of(self._flow))
            self._made = self._flow.version, forms
        return self._made[1]

    def _pickles(self) -> Pickles | None:
        key = journal_key_of(self._settings) if self._settings.allow_pickle else None
        return None if key is None else Pickles(key, self._flow.flow_id)
