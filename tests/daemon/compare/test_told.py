"""What a comparison says: the table, the plain words, the page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import pytest

from znoded.daemon.compare.advice import leaders
from znoded.daemon.compare.figures import Figure
from znoded.daemon.compare.report import report

from .turns import LOST, compared, turn

README: Final = Path(__file__).parents[3] / "README.md"
VOID: Final = {"meta", "br"}


def rows(text: str) -> list[str]:
    """What the table's lines and headings say, without figures."""
    table = text.split("\n\nzab, raft: ")[0]
    return [re.split(" {2,}", line.strip())[0] for line in table.splitlines()[1:]]


class TestTable:
    def test_a_line_has_each_kind_s_figure_below_its_label(self) -> None:
        lines = compared(turn("zab", 20_000), turn("raft", 9_000)).text().splitlines()
        head = lines[0]
        line = next(line for line in lines if line.startswith("  writes, 640 in flight"))
        assert line.split()[-2:] == ["20,000", "9,000"]
        assert [line.index("20,000") + 6, len(line)] == [head.index("zab") + 3, len(head)]

    def test_what_a_kind_does_not_tell_is_a_dash(self) -> None:
        text = compared(turn("zab"), turn("raft")).text()
        assert re.search(r"bytes of log, one at a time +– +–", text)  # noqa: RUF001

    def test_rounds_are_told_by_their_median(self) -> None:
        rounds = compared(turn("zab", 1000), turn("zab", 3000), turn("zab", 5000))
        assert re.search(r"reads, one at a time +3,000\n", rounds.text())
        assert "medians of 3 rounds; rates differ by up to ±67% between them" in rounds.text()

    def test_no_round_s_lost_writes_hide_behind_the_others(self) -> None:
        rounds = compared(turn("zab"), turn("zab", verdict=LOST), turn("zab"))
        assert re.search(r"of them lost +2\n", rounds.text())

    def test_the_readme_shows_it_as_it_is(self) -> None:
        shown = README.read_text().split("$ znoded compare --quick\n")[1]
        assert rows(shown) == rows(compared(turn("zab"), turn("raft")).text())


class TestAdvice:
    def test_who_is_clearly_ahead_is_named_with_all_figures(self) -> None:
        advice = compared(turn("zab", 20_000), turn("raft", 9_000)).advice
        assert "Many writes at once: zab (zab 20,000/s, raft 9,000/s)." in advice
        assert "A thin network: no difference (zab 700 bytes a write, raft 700 bytes a write)." in advice

    def test_less_is_better_where_it_is_time(self) -> None:
        advice = compared(turn("zab", 1000), turn("raft", 2000)).advice
        assert "A single write, answered soon: raft (zab 1.00 ms, raft 0.50 ms)." in advice

    def test_the_end_says_which_for_what(self) -> None:
        advice = compared(turn("zab", 2000, gap=0.5), turn("raft", 1000, gap=0.1)).advice
        assert advice[-2:] == [
            "When in doubt: zab, ahead in 5 of 11 respects.",
            "raft where this matters most: “Writes go on when the leader dies”, "
            "“Writes go on when the leader hangs”.",
        ]

    def test_kinds_that_are_even_are_said_to_be(self) -> None:
        assert compared(turn("zab"), turn("zab 2")).advice[-1].startswith("All in all zab and zab 2 are even")

    def test_one_respect_more_decides_nothing(self) -> None:
        advice = compared(turn("zab", gap=0.5), turn("raft", gap=0.1)).advice
        assert advice[-1].startswith("When in doubt: raft, ahead in 2 of 11")
        slow = turn("zab", gap=0.5)
        small = compared(replace(slow, memory=10e6), turn("raft", gap=0.1)).advice
        assert small[-1].startswith("All in all zab and raft are even")

    def test_zookeeper_is_compared_but_not_weighed_against_the_backends(self) -> None:
        backends = turn("zab", 3000), turn("raft", 2000)
        advice = compared(*backends, turn("ZooKeeper", 9000)).advice
        assert "Many reads: ZooKeeper (zab 3,000/s, raft 2,000/s, ZooKeeper 9,000/s)." in advice
        assert advice[-1] == compared(*backends).advice[-1]

    def test_those_that_share_the_lead_are_named(self) -> None:
        advice = compared(turn("zab", 3000), turn("raft", 2900), turn("ZooKeeper", 900)).advice
        assert "Many reads: zab and raft (zab 3,000/s, raft 2,900/s, ZooKeeper 900/s)." in advice

    def test_what_makes_the_figures_doubtful_is_told_at_the_end(self) -> None:
        assert replace(compared(turn("zab")), doubts=["It was hot."]).advice[-1] == "It was hot."

    def test_one_kind_alone_is_told_to_be_sound(self) -> None:
        assert compared(turn("zab")).advice == [
            "No acknowledged write was lost under faults: 1,000 of zab are on every server."
        ]

    def test_three_are_listed_as_people_do(self) -> None:
        advice = compared(turn("zab"), turn("raft"), turn("ZooKeeper")).advice
        assert "1,000 of zab, 1,000 of raft and 1,000 of ZooKeeper are on every server." in advice[0]

    def test_a_lost_write_comes_before_everything(self) -> None:
        lost = compared(turn("zab"), turn("raft", verdict=LOST))
        assert not lost.good
        assert lost.advice[0].startswith("raft, round 1: WRONG. Of 1,000 acknowledged writes 2 are lost")

    def test_writes_that_never_went_on_are_told(self) -> None:
        advice = compared(turn("zab"), turn("raft", gap=None)).advice
        assert advice[0] == "raft, round 1: no write any more after: leader killed."

    @pytest.mark.parametrize(
        ("zab", "raft", "best"),
        [
            ([120.0], [100.0], ["zab", "raft"]),
            ([130.0], [100.0], ["zab"]),
            ([115.0, 116.0], [100.0, 101.0], ["zab"]),
            ([80.0, 160.0], [100.0, 101.0], ["zab", "raft"]),
        ],
        ids=["within one round's noise", "beyond it", "beyond ten percent", "within the rounds' own spread"],
    )
    def test_noise_wins_nothing(self, zab: list[float], raft: list[float], best: list[str]) -> None:
        figure = Figure("key", "group", "what", 0, {"zab": zab, "raft": raft}, True)
        assert leaders(figure, ["zab", "raft"], 0) == best

    def test_nor_does_what_nobody_would_notice(self) -> None:
        figure = Figure("key", "group", "what", 0, {"zab": [8.0], "raft": [30.0]})
        assert leaders(figure, ["zab", "raft"], 5) == ["zab"]
        assert leaders(figure, ["zab", "raft"], 30) == ["zab", "raft"]


class Page(HTMLParser):
    """Holds that every element is closed, by its own kind."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.all: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.all.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.all.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


class TestReport:
    def test_it_is_whole_and_has_a_plot_for_each_load_and_fault(self) -> None:
        page = Page(report(compared(turn("zab"), turn("raft", 500), turn("ZooKeeper", 800))))
        assert not page.open
        assert page.all.count("svg") == page.all.count("figure") == 6 + 4

    def test_it_needs_nothing_from_elsewhere(self) -> None:
        html = report(compared(turn("zab"), turn("raft")))
        page = Page(html)
        assert not {"link", "script", "img", "iframe"} & set(page.all)
        assert not {"src", "href"} & {name for name, _ in page.attributes}
        assert not re.search(r"https?:|url\(|@import", html)

    def test_words_from_outside_are_no_markup(self) -> None:
        html = report(compared(turn("zab"), turn("raft")))
        assert "a &lt;fast&gt; one" in html
        assert "<fast>" not in html

    def test_a_lost_write_is_told_in_red_at_the_top(self) -> None:
        assert '<p class="verdict bad">raft, round 1: WRONG' in report(
            compared(turn("zab"), turn("raft", verdict=LOST))
        )

    def test_it_is_drawn_where_nothing_was_answered(self) -> None:
        assert "no write any more" in report(compared(turn("zab", gap=None)))


def test_json_has_every_figure_and_every_turn() -> None:
    told = json.loads(json.dumps(compared(turn("zab", 2000), turn("raft")).json()))
    medians = {figure["key"]: figure["medians"] for figure in told["figures"]}
    assert medians["rate:write-many"] == {"zab": 2000, "raft": 1000}
    assert [each["label"] for each in told["turns"]] == ["zab", "raft"]
    assert told["ok"] is True
    latency = told["turns"][1]["runs"][0]["latency_ms"]
    assert latency["p50"] == pytest.approx(1.0, rel=0.03)
