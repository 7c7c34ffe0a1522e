-- Average selling price: as each auction closes, the mean of what its seller's last ten went for.
SELECT seller, id AS auction, avg(price) OVER (
    PARTITION BY seller ORDER BY expires, id ROWS BETWEEN 9 PRECEDING AND CURRENT ROW
) AS average
FROM (
    SELECT seller, id, expires, max(price) AS price
    FROM auction JOIN bid ON auction.id = bid.auction
    WHERE bid.date_time BETWEEN auction.date_time AND expires
    GROUP BY seller, id, expires
)
