"""Work by the clock: what runs, when, and one worker at a time."""
