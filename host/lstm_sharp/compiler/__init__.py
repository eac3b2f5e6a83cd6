"""From cells to programs: tilings, schedules, distances, launches, packing, cycle model."""
