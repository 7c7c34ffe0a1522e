-- Processing-time windows: how many bids each bidder made in each 10 s of a clock that shows `date_time`.
SELECT
    bidder, count(*) AS bid_count, date_time // 10000 * 10000 AS window_start, window_start + 10000 AS window_end
FROM bid
GROUP BY bidder, window_start
