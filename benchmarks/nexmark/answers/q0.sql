-- Pass through: every bid as it is.
SELECT auction, bidder, price, channel, url, date_time, extra
FROM bid
