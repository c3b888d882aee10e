"""Measurements of the library itself: its speed, alone and beside other packages, and its parity with older ones."""
