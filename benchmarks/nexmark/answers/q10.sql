-- Log to files: every bid with the day and the minute whose file it belongs to.
SELECT
    auction, bidder, price, date_time, extra,
    strftime(epoch_ms(date_time), '%Y-%m-%d') AS day, strftime(epoch_ms(date_time), '%H:%M') AS minute
FROM bid
