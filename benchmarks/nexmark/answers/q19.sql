-- Top ten: the ten highest bids of each auction, of equal ones the earliest first.
SELECT
    auction, bidder, price, channel, url, date_time, extra,
    row_number() OVER (PARTITION BY auction ORDER BY price DESC, date_time, extra DESC) AS rank_number
FROM bid
QUALIFY rank_number <= 10
