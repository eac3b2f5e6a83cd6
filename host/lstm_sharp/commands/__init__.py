"""The commands of ``lstm-sharp``: what each takes, does and tells."""
