-- User sessions: how many bids each bidder made until there was none for more than 10 s.
SELECT bidder, count(*) AS bid_count, min(date_time) AS window_start, max(date_time) + 10000 AS window_end
FROM (
    SELECT bidder, date_time, sum(is_first) OVER (PARTITION BY bidder ORDER BY date_time) AS session
    FROM (
        SELECT bidder, date_time, coalesce(
            date_time - lag(date_time) OVER (PARTITION BY bidder ORDER BY date_time) > 10000, true
        )::INT AS is_first
        FROM bid
    )
)
GROUP BY bidder, session
