"""The embedded recipe that finds who speaks when: activity, pieces, voices, decoding, in this order."""
