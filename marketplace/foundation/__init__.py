"""What everything stands on: errors, clock, settings. Imports nothing of ours."""
