"""`taiga-billing setup`: asks, tries, proposes, shows the plan, and carries it out. Only what is missing is changed."""
