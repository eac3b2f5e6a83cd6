"""An engine in an overlay, through pynq: registers, DMAs, buffers, who owns the device."""
