"""Kills, freezes, parts and wipes the servers of an ensemble under load: what clients were told must hold."""

from __future__ import annotations

import random
import shutil
import signal
import tempfile
import time
from pathlib import Path

import click

from .ensemble import Ensemble
from .load import Load
from .network import Network, to_and_from

_ROUND = 10.0
"""Seconds of faults; then all servers are back, and everything is checked."""
_PAUSE = 1.5
"""Seconds between two faults, at the most: a leader that is silent is left after one."""


class Faults:
    """What happens to an ensemble, drawn from random_. counts: how often which."""

    def __init__(self, ensemble: Ensemble, network: Network, random_: random.Random) -> None:
        self.counts = {"killed": 0, "frozen": 0, "ended": 0, "all killed": 0, "wiped": 0, "parted": 0}
        self._ensemble = ensemble
        self._network = network
        self._random = random_
        self._frozen: set[int] = set()
        self._parted = False

    def happen(self) -> None:
        """The next one."""
        ensemble = self._ensemble
        sid = self._random.choice(list(ensemble.servers))
        server = ensemble.servers[sid]
        if not server.running:
            server.launch()
        elif sid in self._frozen:
            self._thaw(sid)
        elif self._parted and self._random.random() < 0.5:
            self._unite()
        elif (drawn := self._random.random()) < 0.25:
            self._part(sid)
        elif drawn < 0.5:
            server.kill()
            self.counts["killed"] += 1
        elif drawn < 0.75:
            server.signal(signal.SIGSTOP)
            self._frozen.add(sid)
            self.counts["frozen"] += 1
        elif drawn < 0.85:
            server.signal(signal.SIGTERM)
            server.wait()
            self.counts["ended"] += 1
        elif drawn < 0.9:
            ensemble.kill()
            self._frozen.clear()
            self.counts["all killed"] += 1
        else:
            self._wipe(sid)

    def heal(self) -> None:
        """All servers are back."""
        self._frozen.clear()
        self._unite()
        self._ensemble.heal()

    def _part(self, sid: int) -> None:
        """Some of the ways between a server and others carry nothing any more; or there are none."""
        others = [other for other in self._ensemble.servers if other != sid]
        ways = to_and_from(sid, self._random.sample(others, self._random.randint(1, len(others))))
        if self._random.random() < 0.3:
            self._network.cut(ways)
        else:
            self._network.hold(self._random.choice([ways, ways[::2], ways[1::2]]))
        self._parted = True
        self.counts["parted"] += 1

    def _unite(self) -> None:
        self._network.heal()
        self._parted = False

    def _thaw(self, sid: int) -> None:
        self._frozen.discard(sid)
        self._ensemble.servers[sid].signal(signal.SIGCONT)

    def _wipe(self, sid: int) -> None:
        """All are there before, and after: what is committed may be on this disk and one other alone."""
        self.heal()
        self._ensemble.servers[sid].kill()
        self._ensemble.wipe(sid)
        self.heal()
        self.counts["wiped"] += 1


@click.command()
@click.option("--seconds", default=600, show_default=True)
@click.option("--voters", default=3, show_default=True)
@click.option("--observers", default=1, show_default=True)
@click.option("--clients", default=6, show_default=True)
@click.option("--seed", type=int, help="What happens to whom; when, is up to the machine.")
def main(seconds: int, voters: int, observers: int, clients: int, seed: int | None) -> None:
    """Exits with 1, and says where the servers' data are, if anything does not hold."""
    seed = random.randrange(1 << 32) if seed is None else seed
    folder = Path(tempfile.mkdtemp(prefix="znoded-torture-"))
    network = Network()
    ensemble = Ensemble(folder, voters, observers, network=network)
    faults = Faults(ensemble, network, random.Random(seed))
    begun, told, rounds = time.monotonic(), 0, 0
    try:
        ensemble.start()
        with click.progressbar(length=seconds, label="Torture", show_pos=True) as bar:
            while bar.pos < seconds:
                rounds += 1
                told += _round(rounds, ensemble, faults, clients, min(_ROUND, seconds - bar.pos))
                bar.update(round(time.monotonic() - begun) - bar.pos)
    except BaseException:
        click.echo(f"\nround {rounds} by --seed {seed}: logs and data are in {folder}", err=True)
        raise
    finally:
        ensemble.kill()
    shutil.rmtree(folder)
    happened = ", ".join(f"{count} {what}" for what, count in faults.counts.items())
    click.echo(f"{rounds} rounds, {told} answers, servers {happened}: all holds")


def _round(number: int, ensemble: Ensemble, faults: Faults, clients: int, seconds: float) -> int:
    """How many answers the clients got."""
    load = Load(f"/round-{number}", ensemble, clients)
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            faults.happen()
            time.sleep(random.uniform(0, _PAUSE))
        faults.heal()
        load.progress()
    finally:
        load.stop()
    load.assert_kept(ensemble.assert_same_trees())
    load.clear(ensemble.addresses[0])
    return load.told


if __name__ == "__main__":
    main()
