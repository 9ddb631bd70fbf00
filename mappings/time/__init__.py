"""Hours, rates and rounding: from a work item to a time entry."""
