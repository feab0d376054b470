"""The contract of both sides: events, items, their wire form, and the rules of a session. No I/O, no clock."""
