"""Records of Invoice Ninja, decoded."""
