"""Guard bands: who provably cannot have crossed a threshold need not be looked at."""
