-- Hot items: the auctions with the most bids in each 10 s, every 2 s.
SELECT auction, num, window_start, window_start + 10000 AS window_end
FROM (
    SELECT auction, date_time // 2000 * 2000 - 2000 * pane AS window_start, count(*) AS num
    FROM bid, range(5) AS panes(pane)
    GROUP BY auction, window_start
)
QUALIFY num = max(num) OVER (PARTITION BY window_start)
