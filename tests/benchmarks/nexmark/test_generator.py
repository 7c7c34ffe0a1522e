"""The generator keeps to the benchmark's proportions, and makes each event the same wherever it is made."""

from __future__ import annotations

from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.nexmark.generator import STEP, Generator
from benchmarks.nexmark.records import Auction, Bid, Event, Person

COUNT = 50_000


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return Generator(seed=5).events(0, COUNT)


@given(
    seed=st.integers(0, 1 << 70),
    start=st.integers(0, 1 << 40),
    before=st.integers(0, 300),
    after=st.integers(0, 300),
    group=st.sampled_from([1, 7, 100, 1000]),
)
def test_an_event_does_not_depend_on_its_batch(seed: int, start: int, before: int, after: int, group: int) -> None:
    stream = Generator(seed=seed, out_of_order=group)
    first = max(0, start - before)
    assert stream.events(start, start + 1) == stream.events(first, start + 1 + after)[start - first : start - first + 1]


def test_seeds_give_other_events(events: list[Event]) -> None:
    assert Generator(seed=6).events(0, 10) != events[:10]


def test_of_fifty_events_one_is_a_person_and_three_are_auctions(events: list[Event]) -> None:
    kinds = [type(event) for event in events]
    assert kinds == ([Person] + [Auction] * 3 + [Bid] * 46) * (COUNT // 50)


def test_ids_are_given_in_turn(events: list[Event]) -> None:
    persons = [event.id for event in events if isinstance(event, Person)]
    auctions = [event.id for event in events if isinstance(event, Auction)]
    assert persons == list(range(1000, 1000 + COUNT // 50))
    assert auctions == list(range(1000, 1000 + 3 * COUNT // 50))


def test_time_goes_on_by_the_rate(events: list[Event]) -> None:
    base = Generator().base_time
    assert [event.date_time for event in events] == [base + number // 10 for number in range(COUNT)]
    assert [event.date_time - base for event in Generator(rate=0.5).events(0, 3)] == [0, 2000, 4000]


def test_half_of_the_bids_go_to_hot_auctions_and_three_quarters_come_from_hot_bidders(events: list[Event]) -> None:
    bids = [event for event in events if isinstance(event, Bid)]
    assert mean((bid.auction - 1000) % 100 == 0 for bid in bids) == pytest.approx(1 / 2, abs=0.02)
    assert mean((bid.bidder - 1000) % 100 == 1 for bid in bids) == pytest.approx(3 / 4, abs=0.02)


def test_three_quarters_of_the_auctions_have_hot_sellers(events: list[Event]) -> None:
    sellers = [(event.seller - 1000) % 100 for event in events if isinstance(event, Auction)]
    assert mean(seller == 0 for seller in sellers) == pytest.approx(3 / 4, abs=0.03)


def test_bids_name_auctions_in_flight_and_people_who_are_active_or_next() -> None:
    stream = Generator(active_people=20, in_flight_auctions=10, hot_auctions=1, hot_bidders=1)
    for epoch in range(0, 1000, 100):
        bids = [event for event in stream.events(epoch * 50, epoch * 50 + 50) if isinstance(event, Bid)]
        newest_auction, newest_person = 1000 + 3 * epoch + 2, 1000 + epoch
        assert all(newest_auction - 10 <= max(bid.auction, 1000) <= newest_auction + 10 for bid in bids if epoch)
        assert all(newest_person - 19 <= bid.bidder <= newest_person + 10 for bid in bids if epoch)


def test_records_have_the_mean_size_that_was_asked_for(events: list[Event]) -> None:
    persons = [event for event in events if isinstance(event, Person)]
    texts = [(p.name, p.email_address, p.credit_card, p.city, p.state, p.extra) for p in persons]
    assert mean(8 + sum(map(len, each)) for each in texts) == pytest.approx(200, rel=0.02)
    auctions = [event for event in events if isinstance(event, Auction)]
    assert mean(48 + len(a.item_name + a.description + a.extra) for a in auctions) == pytest.approx(500, rel=0.02)
    assert mean(32 + len(bid.extra) for bid in events if isinstance(bid, Bid)) == pytest.approx(100, rel=0.02)
    assert {bid.extra for bid in Generator(bid_bytes=20).events(4, 50) if isinstance(bid, Bid)} == {""}


def test_prices_are_even_over_six_powers_of_ten(events: list[Event]) -> None:
    prices = [event.price for event in events if isinstance(event, Bid)]
    assert 100 <= min(prices) < 110
    assert 99_000_000 < max(prices) <= 100_000_000
    for power in range(3, 8):
        assert mean(price < 10**power for price in prices) == pytest.approx((power - 2) / 6, abs=0.01)


def test_auctions_last_as_long_on_average_as_it_takes_to_have_a_hundred_more(events: list[Event]) -> None:
    auctions = [event for event in events if isinstance(event, Auction)]
    assert all(auction.date_time < auction.expires for auction in auctions)
    assert mean(auction.expires - auction.date_time for auction in auctions) == pytest.approx(166.6, rel=0.05)
    assert all(100 <= auction.initial_bid < auction.reserve for auction in auctions)
    assert {auction.category for auction in auctions} == set(range(10, 15))


def test_every_other_channel_is_hot_and_most_others_have_an_id(events: list[Event]) -> None:
    bids = [event for event in events if isinstance(event, Bid)]
    hot = [bid for bid in bids if bid.channel in {"Google", "Facebook", "Baidu", "Apple"}]
    assert len(hot) / len(bids) == pytest.approx(1 / 2, abs=0.01)
    assert len({bid.url for bid in hot}) == 4
    others = [bid for bid in bids if bid.channel.startswith("channel-")]
    assert mean("&channel_id=" in bid.url for bid in others) == pytest.approx(9 / 10, abs=0.02)


def test_out_of_order_shuffles_within_groups_and_by_no_more_than_it_says() -> None:
    straight, shuffled = Generator(rate=100), Generator(rate=100, out_of_order=100)
    ours, theirs = shuffled.events(0, 1000), straight.events(0, 1000)
    assert ours != theirs
    for group in range(0, 1000, 100):
        assert sorted(map(repr, ours[group : group + 100])) == sorted(map(repr, theirs[group : group + 100]))
    latest, lateness = 0, []
    for event in ours:
        latest = max(latest, event.date_time)
        lateness.append(latest - event.date_time)
    assert 0 < max(lateness) <= shuffled.disorder == 1000
    assert straight.disorder == 0


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="wants a rate of more than 0 events a second, got 0"):
        Generator(rate=0)
    for group in (0, STEP):
        with pytest.raises(ValueError, match=f"1 or more and no multiple of 953, got {group}"):
            Generator(out_of_order=group)
