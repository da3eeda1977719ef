"""What stands behind liquidation: who takes a book over, at which price, and who bears what its owner cannot pay.

Values in, values out: exact integers for whatever is booked, float64 only where a risk figure is judged. The order of
the layers is configuration; how each one is sized and split is here.
"""
