"""What is told of an ensemble: the contract with the daemon, and the commands' answers.

Keys are those of ZooKeeper's AdminServer and of its `mntr`, where it has them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from .view import Histogram, Scalar

_MASK: Final = (1 << 32) - 1
_STATES: Final = {"leader": "leading", "follower": "following", "observer": "observing"}
COUNTERS: Final = ("looking_count", "proposal_count")
"""Those of ZooKeeper's counters that an ensemble's servers have besides a standalone one's."""


class PeerView(Protocol):
    """Another server, as the one that tells sees it. From follows on: known of a leader's learners alone."""

    @property
    def id(self) -> int: ...

    @property
    def observer(self) -> bool: ...

    @property
    def connected(self) -> bool: ...

    @property
    def sent(self) -> int:
        """Bytes sent to it."""
        ...

    @property
    def messages(self) -> int:
        """Sent to it."""
        ...

    @property
    def follows(self) -> bool: ...

    @property
    def synced(self) -> bool:
        """It is up to date, and serves clients."""
        ...

    @property
    def lag(self) -> int:
        """Transactions that it has not acknowledged."""
        ...


class Member(NamedTuple):
    """A server.N line. client is empty where the line does not name its client port."""

    id: int
    host: str
    quorum: str
    """host:port, as the two that follow."""
    election: str
    client: str
    observer: bool

    @property
    def kind(self) -> str:
        """ZooKeeper's LearnerType."""
        return "observer" if self.observer else "participant"


@dataclass(frozen=True, slots=True)
class Ensemble:
    """An ensemble as one of its servers sees it now. since: when its role began, monotonic."""

    me: int
    members: Sequence[Member]
    leader: int | None
    epoch: int
    phase: str
    since: float
    peers: Sequence[PeerView]
    lag: int
    """Transactions known to be committed that are not applied here yet."""
    pending_syncs: int
    proposal_sizes: tuple[int, int, int]
    """The last, smallest and largest transaction's bytes; -1 before the first."""
    quorum_latency: Histogram
    """From a leader's proposal until a majority has it."""
    proposal_latency: Histogram
    """From a proposal by this server until it is applied here."""

    @property
    def leads(self) -> bool:
        """Whether this server does."""
        return self.leader == self.me

    def synced(self, *, observers: bool) -> int:
        """So many of the leader's learners are up to date: followers, or observers."""
        return sum(peer.synced and peer.observer == observers for peer in self.peers)


def led(ensemble: Ensemble) -> Mapping[str, Scalar]:
    """Who leads."""
    hosts = {member.id: member.host for member in ensemble.members}
    leader = -1 if ensemble.leader is None else ensemble.leader
    return {"is_leader": ensemble.leads, "leader_id": leader, "leader_ip": hosts.get(leader, "")}


def voters(ensemble: Ensemble) -> Mapping[str, Mapping[str, object]]:
    """The members that vote, by id."""
    return {
        str(member.id): {
            "server_addresses": [member.quorum],
            "election_addresses": [member.election],
            "client_address": member.client,
            "learner_type": member.kind,
        }
        for member in ensemble.members
        if not member.observer
    }


def observers(ensemble: Ensemble) -> Sequence[Mapping[str, Scalar]]:
    """The observers that follow this server."""
    quorum = {member.id: member.quorum for member in ensemble.members}
    return [
        {"sid": peer.id, "remote_socket_address": quorum[peer.id], "synced": peer.synced, "lag": peer.lag}
        for peer in ensemble.peers
        if peer.observer and peer.follows
    ]


def state(ensemble: Ensemble, zxid: int) -> Mapping[str, Scalar]:
    """How far this server has come in joining."""
    me = next(member for member in ensemble.members if member.id == ensemble.me)
    return {
        "myid": me.id,
        "is_leader": ensemble.leads,
        "quorum_address": me.quorum,
        "election_address": me.election,
        "client_address": me.client,
        "voting": not me.observer,
        "last_zxid": f"0x{zxid:x}",
        "zab_epoch": zxid >> 32,
        "zab_counter": zxid & _MASK,
        "zabstate": ensemble.phase,
    }


def monitored(ensemble: Ensemble, mode: str) -> Iterator[tuple[str, Scalar]]:
    """What `mntr` tells besides; of learners, as ZooKeeper does, on the leader alone."""
    doing = _STATES.get(mode, "looking")
    yield "peer_state", doing if ensemble.phase == "election" else f"{doing} - {ensemble.phase}"
    yield "quorum_size", sum(not member.observer for member in ensemble.members)
    yield "epoch", ensemble.epoch
    yield "peer_sent_messages", sum(peer.messages for peer in ensemble.peers)
    yield "peer_sent_bytes", sum(peer.sent for peer in ensemble.peers)
    if mode != "leader":
        return
    learners = [peer for peer in ensemble.peers if peer.follows]
    yield "learners", len(learners)
    yield "followers", sum(not peer.observer for peer in learners)
    yield "synced_followers", ensemble.synced(observers=False)
    yield "synced_non_voting_followers", 0
    yield "synced_observers", ensemble.synced(observers=True)
    yield "pending_syncs", ensemble.pending_syncs
    yield "leader_uptime", int((time.monotonic() - ensemble.since) * 1000)
    last, smallest, largest = ensemble.proposal_sizes
    yield "last_proposal_size", last
    yield "min_proposal_size", smallest
    yield "max_proposal_size", largest
