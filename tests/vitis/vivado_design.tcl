# Commands of the stub, those for block designs.

array set nets {}      ;# sink pin, or slave interface -> source pin, or master interface
array set segments {}  ;# space and segment -> offset and range
set external {}

proc create_bd_design {name} { set ::design $name }
proc create_bd_cell {args} {
    lassign [options {-type 1 -vlnv 1} $args] given name
    set vlnv [dict get $given -vlnv]
    if {[dict get $given -type] ne "ip" || $vlnv ni $::catalogue} { error "no IP $vlnv" }
    if {[info exists ::vlnv($name)]} { error "$name exists" }
    set ip [lindex [split $vlnv :] 2]
    set ::vlnv($name) $vlnv
    set ::config($name) [expr {[info exists ::defaults($ip)] ? $::defaults($ip) : {}}]
    set ::told($name) {}
    return cell:$name
}
proc get_bd_cells {name} {
    if {![info exists ::vlnv($name)]} { error "no cell $name" }
    return cell:$name
}
proc apply_bd_automation {args} {
    lassign [options {-rule 1 -config 1} $args] given cells
    set cell [typed cell [lindex $cells 0]]
    set config [dict get $given -config]
    if {[dict get $given -rule] ne "xilinx.com:bd_rule:[ip_of $cell]"} { error "wrong rule" }
    foreach key [dict keys $config] {
        if {$key ni {make_external apply_board_preset Master Slave}} { error "automation: $key" }
    }
    set preset [dict get $config apply_board_preset]
    if {$preset != [info exists ::property(project:system,board_part)]} { error "board preset" }
    event preset $preset
    if {[dict exists $config make_external]} {
        foreach name [split [dict get $config make_external] ,] {
            lassign [shape $cell] - interfaces
            set name [string trim $name]
            if {$name ni $interfaces} { error "no interface $name" }
            lappend ::external $cell/$name
        }
    }
}
proc lookup {type index arguments} {
    lassign [options {-quiet 0} $arguments] - name
    lassign [split [lindex $name 0] /] cell wanted
    if {![info exists ::vlnv($cell)]} { return {} }
    foreach {name kind side} [lindex [shape $cell] $index] {
        if {$name eq $wanted} { return $type:$cell/$name }
    }
    return {}
}
proc get_bd_pins {args} { return [lookup pin 0 $args] }
proc get_bd_intf_pins {args} { return [lookup intf 1 $args] }
proc facts {index name} {
    lassign [split $name /] cell wanted
    foreach {name kind side} [lindex [shape $cell] $index] {
        if {$name eq $wanted} { return [list $kind $side] }
    }
}
proc connect {index type from to ends} {
    set from [typed $type $from]
    set to [typed $type $to]
    lassign [facts $index $from] kind_from end_from
    lassign [facts $index $to] kind_to end_to
    if {$kind_from ne $kind_to || [list $end_from $end_to] ni $ends} { error "$from to $to" }
    if {[info exists ::nets($to)] || ($type eq "intf" && $from in $::masters)} {
        error "$from or $to has a net"
    }
    lappend ::masters $from
    set ::nets($to) $from
    event $type $from $to
}
set masters {}
proc connect_bd_net {from to} { connect 0 pin $from $to {{O I} {O o}} }
proc connect_bd_intf_net {from to} { connect 1 intf $from $to {{master slave}} }

proc get_bd_addr_spaces {args} {
    lassign [options {-quiet 0} $args] - name
    set name [lindex $name 0]
    lassign [split $name /] cell space
    lassign [shape $cell] - interfaces
    set wanted [string map {Data M_AXI} $space]
    if {($space eq "Data" && [ip_of $cell] in {processing_system7 zynq_ultra_ps_e})
            || ($wanted ne $space && $wanted in $interfaces)} { return space:$name }
    return {}
}
set maps(processing_system7) {S_AXI_HP0 HP0_DDR_LOWOCM}
set maps(zynq_ultra_ps_e) {SAXIGP2 {HP0_DDR_LOW HP0_QSPI HP0_LPS_OCM}}
set maps(axi_dma) {S_AXI_LITE Reg}
set maps(lstm_sharp) {s_axi_control Reg}
set maps(lstm_engine) {s_axi_control reg0}
proc get_bd_addr_segs {args} {
    lassign [options {-quiet 0} $args] - name
    lassign [split [lindex $name 0] /] cell map pattern
    set found {}
    foreach {known blocks} $::maps([ip_of $cell]) {
        if {$known ne $map} continue
        foreach block [lsearch -all -inline -glob $blocks $pattern] {
            lappend found seg:$cell/$map/$block
        }
    }
    return $found
}
proc assign_bd_address {args} {
    set spec {-offset 1 -range 1 -target_address_space 1}
    lassign [options $spec [lrange $args 0 5]] given
    lassign [lrange $args 6 end] segment force
    if {$force ne "-force"} { error "wrong arguments: $args" }
    set space [typed space [dict get $given -target_address_space]]
    set segment [typed seg $segment]
    set offset [dict get $given -offset]
    set range [dict get $given -range]
    set end [expr {$offset + $range}]
    switch -glob $segment {
        */HP0_DDR_LOWOCM { set first 0; set last 0x40000000 }
        */HP0_DDR_LOW { set first 0; set last 0x80000000 }
        default {
            set first [expr {[ip_of ps] eq "processing_system7" ? 0x40000000 : 0xA0000000}]
            set last [expr {[ip_of ps] eq "processing_system7" ? 0x80000000 : 0xB0000000}]
        }
    }
    if {$offset < $first || $end > $last || $range < 4096 || $range & ($range - 1)
            || $offset % $range} {
        error "$segment cannot be at $offset + $range"
    }
    foreach key [array names ::segments $space,*] {
        lassign $::segments($key) other size
        if {$offset < $other + $size && $other < $end} { error "$segment overlaps $key" }
    }
    set ::segments($space,$segment) [list $offset $range]
    event segment $space $segment $offset $range
}

proc validate_bd_design {} {
    foreach cell [array names ::vlnv] {
        lassign [shape $cell] pins interfaces
        foreach {name kind side} $pins {
            if {$side eq "I" && ![info exists ::nets($cell/$name)]} { error "$cell/$name is open" }
        }
        foreach {name kind side} $interfaces {
            if {"$cell/$name" ni $::external && "$cell/$name" ni $::masters
                    && ![info exists ::nets($cell/$name)]} { error "$cell/$name is open" }
            set space $cell/[string map {M_AXI Data} $name]
            if {$kind eq "aximm" && $side eq "master" && [ip_of $cell] eq "axi_dma"
                    && ![llength [array names ::segments $space,*]]} { error "$space is empty" }
            if {$kind eq "aximm" && $side eq "slave" && [ip_of $cell] ne "smartconnect"
                    && ![llength [array names ::segments *,$cell/*]]} {
                error "$cell/$name has no address"
            }
        }
    }
    foreach {stream port} {dma x dma_weights weights} {
        if {[dict get $::config($stream) c_m_axis_mm2s_tdata_width] != $::bits($port)} {
            error "TDATA_NUM_BYTES of $stream and of the engine's $port do not match"
        }
    }
    event validate
    set ::valid 1
}
proc save_bd_design {} {}

# What is left when the script ends, one thing a line
proc model {} {
    set lines {}
    foreach cell [array names ::vlnv] {
        lappend lines [list cell $cell $::vlnv($cell)]
        dict for {name value} $::told($cell) { lappend lines [list config $cell $name $value] }
    }
    foreach name $::external { lappend lines [list external $name] }
    return $lines
}
