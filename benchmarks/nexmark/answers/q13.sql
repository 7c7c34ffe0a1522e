-- Side input: each bid with the text that a table has for its auction.
SELECT auction, bidder, price, date_time, value
FROM bid JOIN side_input ON auction % 10000 = key
