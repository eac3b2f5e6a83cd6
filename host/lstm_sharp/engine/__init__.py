"""The engine as data: config, slot program, packing, schedules and the exact cycle model."""
