"""Cascades: what a venue's own liquidations do to the prices that cause the next ones.

Theory of operation. Accounts are linear exposures to a few underlyings (``population``); prices are an outside path
(``shock``) plus the impact of forced flow (``impact``). Every tick: prices, the mark the venue sees of them, the health
of every account at that mark (``health``), takeovers and whom their losses fall on (``backstop``, ``adl``), planned
closes, netted and throttled (``closing``), impact, next tick (``simulation``). ``density`` says from the same books how
much would be closed at which price, before any of it happens; ``moments`` what of a recorded run can be held against a
recorded crash.

Chance arrives as arrays of standard normals: the same arrays give the same run. Amounts are float64 in the numeraire;
nothing here is booked. Axes: A accounts, K underlyings, T ticks, B buckets.
"""
