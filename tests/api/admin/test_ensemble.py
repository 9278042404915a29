"""What a server tells of its ensemble: commands, words, metrics, the live page."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from znoded.api.admin import commands, words
from znoded.api.admin.ensemble import Ensemble, Member
from znoded.api.admin.page.data import Data
from znoded.api.admin.view import Scalar

from .test_commands import FakeHistogram, FakeServer, Values
from .test_http import command
from .test_metrics import scrape, values


class FakePeer(NamedTuple):
    id: int
    observer: bool = False
    connected: bool = True
    sent: int = 0
    follows: bool = False
    synced: bool = False
    lag: int = 0
    messages: int = 0


MEMBERS = [
    Member(1, "10.0.0.1", "10.0.0.1:2888", "10.0.0.1:3888", "", False),
    Member(2, "10.0.0.2", "10.0.0.2:2888", "10.0.0.2:3888", "0.0.0.0:2181", False),
    Member(3, "10.0.0.3", "10.0.0.3:2888", "10.0.0.3:3888", "", False),
    Member(4, "10.0.0.4", "10.0.0.4:2888", "10.0.0.4:3888", "", True),
]


@pytest.fixture
def leader(tmp_path: Path) -> FakeServer:
    """Server 2 leads epoch 5. Server 1 is up to date, 3 is not there, observer 4 catches up."""
    server = FakeServer(tmp_path, tmp_path, mode="leader", zxid=(5 << 32) + 77)
    server.summaries = {**server.summaries, "election_time": Values([250, 750])}
    server.counters = {"proposal_count": 77, "looking_count": 1}
    server.ensemble = Ensemble(
        me=2,
        members=MEMBERS,
        leader=2,
        epoch=5,
        phase="broadcast",
        since=time.monotonic() - 60,
        peers=[
            FakePeer(1, sent=4000, messages=40, follows=True, synced=True),
            FakePeer(3, connected=False),
            FakePeer(4, observer=True, sent=9000, follows=True, lag=70),
        ],
        lag=0,
        pending_syncs=2,
        proposal_sizes=(80, 47, 900),
        quorum_latency=FakeHistogram((3, 2, 1), 4.5),
        proposal_latency=FakeHistogram((3, 2, 1), 4.5),
    )
    return server


@pytest.fixture
def follower(leader: FakeServer) -> FakeServer:
    """As server 1 tells it."""
    assert leader.ensemble is not None
    peers = [FakePeer(2), FakePeer(3, connected=False), FakePeer(4, observer=True)]
    leader.ensemble = replace(leader.ensemble, me=1, peers=peers, proposal_sizes=(-1, -1, -1), lag=9)
    leader.mode = "follower"
    return leader


@pytest.fixture
def alone(follower: FakeServer) -> FakeServer:
    """Server 1 without a majority."""
    assert follower.ensemble is not None
    follower.ensemble = replace(follower.ensemble, leader=None, epoch=0, phase="election")
    follower.mode, follower.serving = "looking", False
    return follower


def mntr(server: FakeServer) -> dict[str, object]:
    server.serving = True
    return dict(commands.mntr(server))


class TestCommands:
    def test_who_leads(self, leader: FakeServer) -> None:
        assert commands.lead(leader) == {"is_leader": True, "leader_id": 2, "leader_ip": "10.0.0.2"}

    def test_whom_a_follower_follows(self, follower: FakeServer) -> None:
        assert commands.lead(follower) == {"is_leader": False, "leader_id": 2, "leader_ip": "10.0.0.2"}

    def test_who_votes(self, follower: FakeServer) -> None:
        view = commands.voting_view(follower)["current_config"]
        assert isinstance(view, dict)
        assert view.keys() == {"1", "2", "3"}
        assert view["2"] == {
            "server_addresses": ["10.0.0.2:2888"],
            "election_addresses": ["10.0.0.2:3888"],
            "client_address": "0.0.0.0:2181",
            "learner_type": "participant",
        }

    def test_observers_of_a_leader(self, leader: FakeServer) -> None:
        assert commands.obsr(leader) == {
            "synced_observers": 0,
            "observers": [{"sid": 4, "remote_socket_address": "10.0.0.4:2888", "synced": False, "lag": 70}],
        }

    def test_observers_are_their_leader_s(self, follower: FakeServer) -> None:
        assert commands.obsr(follower) == {"synced_observers": 0, "observers": []}

    def test_the_state_of_joining_is_told_without_a_majority_too(self, alone: FakeServer) -> None:
        assert commands.zabstate(alone) == {
            "myid": 1,
            "is_leader": False,
            "quorum_address": "10.0.0.1:2888",
            "election_address": "10.0.0.1:3888",
            "client_address": "",
            "voting": True,
            "last_zxid": "0x50000004d",
            "zab_epoch": 5,
            "zab_counter": 77,
            "zabstate": "election",
        }

    def test_a_leader_tells_of_its_proposals(self, leader: FakeServer) -> None:
        sizes = {"last_buffer_size": 80, "min_buffer_size": 47, "max_buffer_size": 900}
        assert command(leader, "server_stats")["proposal_stats"] == sizes
        answer = "".join(words._TEXTS[b"srvr"](leader))
        assert answer.endswith("Mode: leader\nNode count: 10\nProposal sizes last/min/max: 80/47/900\n")

    def test_a_follower_has_none(self, follower: FakeServer) -> None:
        assert "proposal_stats" not in command(follower, "server_stats")
        assert "Proposal" not in "".join(words._TEXTS[b"srvr"](follower))


class TestMntr:
    def test_a_leader(self, leader: FakeServer) -> None:
        told = mntr(leader)
        expected = {
            "server_state": "leader",
            "peer_state": "leading - broadcast",
            "quorum_size": 3,
            "epoch": 5,
            "peer_sent_messages": 40,
            "peer_sent_bytes": 13000,
            "learners": 2,
            "followers": 1,
            "synced_followers": 1,
            "synced_observers": 0,
            "synced_non_voting_followers": 0,
            "pending_syncs": 2,
            "last_proposal_size": 80,
            "min_proposal_size": 47,
            "max_proposal_size": 900,
            "proposal_count": 77,
            "looking_count": 1,
            "max_election_time": 750,
        }
        assert expected.items() <= told.items()
        assert told["leader_uptime"] in range(60_000, 90_000)

    def test_a_follower_leaves_learners_to_the_leader(self, follower: FakeServer) -> None:
        told = mntr(follower)
        assert told["peer_state"] == "following - broadcast"
        assert not told.keys() & {"learners", "synced_followers", "leader_uptime", "last_proposal_size"}

    def test_who_looks_for_a_leader(self, alone: FakeServer) -> None:
        told = mntr(alone)
        assert (told["peer_state"], told["epoch"]) == ("looking", 0)

    def test_a_standalone_server_has_none_of_it(self, tmp_path: Path) -> None:
        assert not mntr(FakeServer(tmp_path, tmp_path)).keys() & {"peer_state", "quorum_size", "epoch"}


def test_conf_ends_with_the_members(leader: FakeServer) -> None:
    told: dict[str, Scalar | None] = {
        "server_id": 2,
        "server.1": "10.0.0.1:2888:3888:participant",
        "sync_limit": 5,
    }
    assert list(words._conf(told)) == [
        "serverId=2\n",
        "syncLimit=5\n",
        "membership: \n",
        "server.1=10.0.0.1:2888:3888:participant\n",
    ]


class TestMetrics:
    def test_a_leader(self, leader: FakeServer) -> None:
        figures = {
            name: values(leader, f"znoded_{name}")
            for name in ("epoch", "leader", "followers", "synced_followers", "pending_syncs", "proposals")
        }
        assert [figure[()] for figure in figures.values()] == [5, 2, 1, 1, 2, 77]
        assert values(leader, "znoded_peer_connected") == {("1",): 1, ("3",): 0, ("4",): 1}
        assert values(leader, "znoded_peer_lag") == {("1",): 0, ("4",): 70}
        assert values(leader, "znoded_peer_sent_bytes") == {("1",): 4000, ("3",): 0, ("4",): 9000}
        assert values(leader, "znoded_peer_sent_messages") == {("1",): 40, ("3",): 0, ("4",): 0}
        assert values(leader, "znoded_elections") == {(): 2}
        assert values(leader, "znoded_leaderless_seconds") == {(): 1}

    @pytest.mark.parametrize("name", ["quorum_ack", "proposal"])
    def test_how_long_a_majority_takes(self, leader: FakeServer, name: str) -> None:
        assert values(leader, f"znoded_{name}_seconds") == {
            ("0.001",): 3,
            ("1.0",): 5,
            ("+Inf",): 6,
            (): 4.5,
        }

    def test_a_server_without_a_leader(self, alone: FakeServer) -> None:
        assert values(alone, "znoded_leader") == {(): 0}
        assert values(alone, "znoded_role") == {("looking",): 1}
        assert "znoded_peer_lag" not in scrape(alone)


class TestPage:
    def test_a_leader_knows_how_far_its_learners_are(self, leader: FakeServer) -> None:
        assert Data(leader).live(-1)["ensemble"] == {
            "me": 2,
            "leader": 2,
            "epoch": 5,
            "phase": "broadcast",
            "peers": [
                {"id": 1, "observer": False, "connected": True, "follows": True, "synced": True, "lag": 0},
                {"id": 3, "observer": False, "connected": False, "follows": False, "synced": False, "lag": 0},
                {"id": 4, "observer": True, "connected": True, "follows": True, "synced": False, "lag": 70},
            ],
        }

    def test_a_follower_knows_who_is_there(self, follower: FakeServer) -> None:
        ensemble = Data(follower).live(-1)["ensemble"]
        assert isinstance(ensemble, dict)
        assert ensemble["peers"][1] == {"id": 3, "observer": False, "connected": False}

    def test_a_standalone_server_has_none(self, tmp_path: Path) -> None:
        assert Data(FakeServer(tmp_path, tmp_path)).live(-1)["ensemble"] is None
