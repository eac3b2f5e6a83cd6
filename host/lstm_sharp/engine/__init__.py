"""What an engine is: config, boards, memories, program format, register map, pipeline."""
