"""Records of Taiga, decoded."""
