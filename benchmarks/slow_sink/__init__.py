"""The slow sink: who waits, how much is in flight, and how soon the source follows, here and on peers."""
