"""Sources and simulators: rendering, csim, RTL by Verilator, block design and .hwh."""
