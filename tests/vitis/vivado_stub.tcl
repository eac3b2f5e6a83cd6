# A stub for `vivado -mode batch -source`: a model of a block design in memory.
#
# It knows the commands, properties, VLNVs, pins and interfaces that overlays need, as Vivado has
# them, and fails on any other. Variables of the environment: STUB_RELEASE; STUB_BOARDS: installed
# board files; STUB_FAIL: what goes wrong; STUB_MODEL: file that gets the model at the end.

fconfigure stdout -buffering line
foreach newer {try throw lmap tailcall} { rename $newer {} } ;# scripts are to do with Tcl 8.5

set release $env(STUB_RELEASE)
set fails [split $env(STUB_FAIL)]
set ps [expr {$release < "2023" ? "3.4" : "3.5"}]
set catalogue [list xilinx.com:ip:processing_system7:5.5 xilinx.com:ip:zynq_ultra_ps_e:$ps \
    xilinx.com:ip:axi_dma:7.1 xilinx.com:ip:smartconnect:1.0 xilinx.com:ip:proc_sys_reset:5.0]
set parts {xc7z010clg400-1 xc7z020clg400-1 xczu3eg-sbva484-1-i xczu7ev-ffvc1156-2-e xck26-sfvc784-2LV-c}
set widths {32 64 128 256 512 1024}

# Parameters that may be set, and their values; a pattern where there are many.
set parameters(processing_system7) {
    PCW_USE_M_AXI_GP0 {0 1} PCW_USE_S_AXI_HP0 {0 1} PCW_S_AXI_HP0_DATA_WIDTH {32 64}
    PCW_EN_CLK0_PORT {0 1} PCW_EN_RST0_PORT {0 1} PCW_FPGA0_PERIPHERAL_FREQMHZ \\d+
}
set parameters(zynq_ultra_ps_e) {
    PSU__USE__M_AXI_GP0 {0 1} PSU__USE__M_AXI_GP1 {0 1} PSU__USE__M_AXI_GP2 {0 1}
    PSU__MAXIGP0__DATA_WIDTH {32 64 128} PSU__USE__S_AXI_GP2 {0 1}
    PSU__SAXIGP2__DATA_WIDTH {32 64 128} PSU__USE__IRQ0 {0 1} PSU__USE__FABRIC__RST {0 1}
    PSU__FPGA_PL0_ENABLE {0 1} PSU__CRL_APB__PL0_REF_CTRL__SRCSEL {IOPLL RPLL DPLL}
    PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ \\d+
}
set parameters(axi_dma) [list \
    c_include_sg {0 1} c_micro_dma {0 1} c_sg_include_stscntrl_strm {0 1} \
    c_sg_length_width {8 14 16 23 24 25 26} c_addr_width {32 40 64} \
    c_include_mm2s {0 1} c_include_s2mm {0 1} c_include_mm2s_dre {0 1} c_include_s2mm_dre {0 1} \
    c_m_axi_mm2s_data_width $widths c_m_axi_s2mm_data_width $widths \
    c_m_axis_mm2s_tdata_width [concat 8 16 $widths] \
    c_mm2s_burst_size {2 4 8 16 32 64 128 256} c_s2mm_burst_size {2 4 8 16 32 64 128 256}]
set parameters(smartconnect) {NUM_SI \\d+ NUM_MI \\d+ NUM_CLKS \\d+}
set parameters(proc_sys_reset) {C_EXT_RESET_HIGH {0 1}}
set defaults(processing_system7) {PCW_USE_M_AXI_GP0 1 PCW_EN_CLK0_PORT 1 PCW_EN_RST0_PORT 1
    PCW_USE_S_AXI_HP0 0}
set defaults(zynq_ultra_ps_e) {PSU__USE__M_AXI_GP0 1 PSU__USE__M_AXI_GP1 1 PSU__USE__M_AXI_GP2 0
    PSU__USE__S_AXI_GP2 0 PSU__USE__IRQ0 1 PSU__USE__FABRIC__RST 1 PSU__FPGA_PL0_ENABLE 1}
set defaults(axi_dma) {c_include_sg 1 c_micro_dma 0 c_include_mm2s 1 c_include_s2mm 1
    c_m_axis_mm2s_tdata_width 32 c_m_axi_mm2s_data_width 32 c_m_axi_s2mm_data_width 32}
set defaults(smartconnect) {NUM_SI 2 NUM_MI 1 NUM_CLKS 1}
set defaults(proc_sys_reset) {C_EXT_RESET_HIGH 1}

# What a cell has: pins {name kind direction}, interfaces {name kind side}; by its parameters.
proc shape {cell} {
    upvar #0 config($cell) c
    set if {}
    set pins {}
    switch [ip_of $cell] {
        processing_system7 {
            set if {DDR ddr master FIXED_IO fixedio master}
            if {[dict get $c PCW_USE_M_AXI_GP0]} {
                lappend if M_AXI_GP0 aximm master; lappend pins M_AXI_GP0_ACLK clk I }
            if {[dict get $c PCW_USE_S_AXI_HP0]} {
                lappend if S_AXI_HP0 aximm slave; lappend pins S_AXI_HP0_ACLK clk I }
            if {[dict get $c PCW_EN_CLK0_PORT]} { lappend pins FCLK_CLK0 clk O }
            if {[dict get $c PCW_EN_RST0_PORT]} { lappend pins FCLK_RESET0_N rst O }
        }
        zynq_ultra_ps_e {
            foreach {gp name} {0 hpm0_fpd 1 hpm1_fpd 2 hpm0_lpd} {
                if {[dict get $c PSU__USE__M_AXI_GP$gp]} {
                    lappend if M_AXI_[string toupper $name] aximm master
                    lappend pins maxi${name}_aclk clk I
                }
            }
            if {[dict get $c PSU__USE__S_AXI_GP2]} {
                lappend if S_AXI_HP0_FPD aximm slave; lappend pins saxihp0_fpd_aclk clk I }
            if {[dict get $c PSU__USE__IRQ0]} { lappend pins pl_ps_irq0 intr I }
            if {[dict get $c PSU__USE__FABRIC__RST]} { lappend pins pl_resetn0 rst O }
            if {[dict get $c PSU__FPGA_PL0_ENABLE]} { lappend pins pl_clk0 clk O }
        }
        axi_dma {
            set if {S_AXI_LITE aximm slave}
            set pins {s_axi_lite_aclk clk I axi_resetn rst I}
            if {[dict get $c c_include_sg]} {
                lappend if M_AXI_SG aximm master; lappend pins m_axi_sg_aclk clk I }
            if {[dict get $c c_include_mm2s]} {
                lappend if M_AXI_MM2S aximm master M_AXIS_MM2S axis master
                lappend pins m_axi_mm2s_aclk clk I mm2s_prmry_reset_out_n rst O mm2s_introut intr O
            }
            if {[dict get $c c_include_s2mm]} {
                lappend if M_AXI_S2MM aximm master S_AXIS_S2MM axis slave
                lappend pins m_axi_s2mm_aclk clk I s2mm_prmry_reset_out_n rst O s2mm_introut intr O
            }
        }
        smartconnect {
            set pins {aclk clk I aresetn rst I}
            foreach {letter count side} {S NUM_SI slave M NUM_MI master} {
                for {set i 0} {$i < [dict get $c $count]} {incr i} {
                    lappend if [format %s%02d_AXI $letter $i] aximm $side
                }
            }
        }
        proc_sys_reset {
            set pins {slowest_sync_clk clk I ext_reset_in rst I aux_reset_in rst o mb_debug_sys_rst
                rst o dcm_locked rst o mb_reset rst O bus_struct_reset rst O
                peripheral_reset rst O interconnect_aresetn rst O peripheral_aresetn rst O}
        }
        default { lassign [engine_shape $::vlnv($cell)] pins if }
    }
    return [list $pins $if]
}

proc ip_of {cell} { return [lindex [split $::vlnv($cell) :] 2] }

# Of an engine: what its component.xml says; names of the busInterfaces alone count.
proc engine_shape {vlnv} {
    foreach {- name kind side bits} [regexp -all -inline \
            {<busInterface name="(\w+)" kind="(\w+)" side="(\w+)" bits="(\d+)"/>} $::xml($vlnv)] {
        switch $kind {
            clock { lappend pins $name clk I }
            reset { lappend pins $name rst I }
            default { lappend if $name $kind $side; set ::bits($name) $bits }
        }
    }
    return [list [concat $pins interrupt intr O] $if]
}

proc options {spec arguments} {
    set found {}
    while {[string match -* [lindex $arguments 0]]} {
        set arguments [lassign $arguments option]
        if {![dict exists $spec $option]} { error "unknown option '$option'" }
        if {[dict get $spec $option]} { set arguments [lassign $arguments value] } { set value 1 }
        dict set found $option $value
    }
    return [list $found $arguments]
}

proc typed {type objects} {
    foreach object $objects {
        if {![string match $type:* $object]} { error "'$object' is no $type" }
    }
    if {![llength $objects]} { error "no $type given" }
    return [string range [lindex $objects 0] [string length $type:] end]
}

proc event {args} { lappend ::events $args }

proc failing {what} { return [expr {$what in $::fails}] }

foreach part {project design} { source [file join [file dirname [info script]] vivado_$part.tcl] }

# Command line
if {[lindex $argv 0] eq "-version"} {
    puts "Vivado v$release (64-bit)\nSW Build 0 on a stub"
    exit 0
}
lassign [options {-mode 1 -notrace 0 -nojournal 0 -log 1 -source 1} $argv] given rest
if {[dict get $given -mode] ne "batch" || [llength $rest]} { error "wrong command line: $argv" }
close [open [dict get $given -log] w]
rename exit really_exit
proc exit {{status 0}} {
    set file [open $::env(STUB_MODEL) w]
    foreach line [concat $::events [model]] { puts $file $line }
    close $file
    really_exit $status
}
set script [dict get $given -source]
if {[failing killed]} { trace add execution launch_runs enter {really_exit 137 ;#} }
source $script
