"""All flights that left New York City in 2013: cleaned, enriched, aggregated and loaded into SQLite."""
