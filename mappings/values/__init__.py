"""Money, hours, numbers and texts: the values everything else is made of."""
