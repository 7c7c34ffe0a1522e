-- Local items: who sells in Oregon, Idaho or California in category 10, and which auctions.
SELECT name, city, state, auction.id
FROM auction JOIN person ON auction.seller = person.id
WHERE category = 10 AND state IN ('OR', 'ID', 'CA')
