-- Calculation: bids of a middling price in euros, with the time of day and a count of letters.
SELECT
    auction, bidder, 0.908::DOUBLE * price AS price,
    CASE
        WHEN hour(epoch_ms(date_time)) BETWEEN 8 AND 18 THEN 'dayTime'
        WHEN hour(epoch_ms(date_time)) <= 6 OR hour(epoch_ms(date_time)) >= 20 THEN 'nightTime'
        ELSE 'otherTime'
    END AS bid_time_type,
    date_time, extra, length(extra) - length(replace(extra, 'c', '')) AS c_counts
FROM bid
WHERE 0.908::DOUBLE * bid.price > 1000000 AND 0.908::DOUBLE * bid.price < 50000000
