-- Average price: the mean, by category, of what each auction's winning bid was.
SELECT category, avg(final) AS average
FROM (
    SELECT auction.id, category, max(price) AS final
    FROM auction JOIN bid ON auction.id = bid.auction
    WHERE bid.date_time BETWEEN auction.date_time AND expires
    GROUP BY auction.id, category
)
GROUP BY category
