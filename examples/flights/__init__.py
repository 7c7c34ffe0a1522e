"""All flights that left New York City in 2013: cleaned, enriched, aggregated and loaded into SQLite.

    python -m examples.flights                                # the whole year
    python -m examples.flights --sink-rate 2000 --months 1    # see the source follow a slow sink
    python -m examples.flights --explain                      # the plan

Begin with job.py. A copy of this folder runs anywhere that Headgate is installed, by `python -m flights`.
"""
