# vitis_stub.tcl RELEASE SCRIPT REPORTS FAILS: runs a script as Vitis HLS of that release would, as
# far as is known: its commands, their options and values, and what must come before what. Anything
# else is an error. Synthesis and cosimulation "make" the files in the folder REPORTS, and synthesis
# says what csynth.log there says.

lassign $argv release script reports fails
# Command: first release, options and what their values match (none: a flag), operands.
set grammar {
    open_component {2024.2 {-reset {} -flow_target ^(vivado|vitis)$} 1}
    open_project {2022.2 {-reset {}} 1}
    open_solution {2022.2 {-reset {} -flow_target ^(vivado|vitis)$} 1}
    set_top {2022.2 {} 1}
    add_files {2022.2 {-tb {} -cflags .} 1}
    set_part {2022.2 {} 1}
    create_clock {2022.2 {-period ^[0-9.]+$ -name ^[a-z]+$} 0}
    set_clock_uncertainty {2022.2 {} 1}
    config_compile {2022.2 {-pipeline_loops ^[0-9]+$ -pipeline_style ^(stp|flp|frp)$
        -name_max_length ^[0-9]+$} 0}
    config_array_partition {2022.2 {-complete_threshold ^[0-9]+$ -throughput_driven ^(auto|off)$} 0}
    config_interface {2022.2 {-m_axi_addr64 ^(true|false)$} 0}
    config_rtl {2022.2 {-reset ^(none|control|state|all)$} 0}
    csim_design {2022.2 {-O {} -clean {} -argv . -ldflags . -setup {}} 0}
    csynth_design {2022.2 {} 0}
    cosim_design {2022.2 {-O {} -argv . -rtl ^(verilog|vhdl)$ -trace_level ^(none|all|port)$
        -random_stall {} -setup {}} 0}
    export_design {2022.2 {-format ^ip_catalog$ -rtl ^(verilog|vhdl)$ -vendor ^[a-z.]+$
        -library ^[a-z]+$ -ipname ^[a-z_]+$ -version ^[0-9]+[.][0-9]+$} 0}
}
set needs {
    open_solution {open_project} set_part {open} create_clock {set_part} csim_design {tb top part clock}
    csynth_design {files top part clock} cosim_design {csynth_design tb} export_design {csynth_design}
}
set parts {xc7z010clg400-1 xc7z020clg400-1 xczu3eg-sbva484-1-i xczu7ev-ffvc1156-2-e xck26-sfvc784-2LV-c}
set done {}

proc known {command arguments} {
    global release grammar needs parts done reports fails
    lassign [dict get $grammar $command] since options operands
    if {$release < $since} { error "invalid command name \"$command\"" }
    set given {}
    while {[llength $arguments]} {
        set arguments [lassign $arguments word]
        if {![string match -* $word]} { lappend given $word; continue }
        set inside [regexp {^(-[^=]+)=(.*)$} $word - word value]
        if {![dict exists $options $word]} { error "$command: unknown option $word" }
        set form [dict get $options $word]
        if {$form eq {}} { lappend done "$command $word"; continue }
        if {!$inside} { set arguments [lassign $arguments value] }
        if {![regexp $form $value]} { error "$command: $word has no value '$value'" }
        if {$command eq "add_files"} {
            foreach flag [lsearch -all -inline $value -I*] {
                if {![file isdirectory [string range $flag 2 end]]} { error "no folder $flag" }
            }
        }
    }
    if {[llength $given] != $operands} { error "$command: $operands operands, not '$given'" }
    if {[dict exists $needs $command]} {
        foreach need [dict get $needs $command] {
            if {$need ni $done} { error "$command: $need is missing" }
        }
    }
    lappend done $command
    switch $command {
        open_component - open_project { lappend done open; file mkdir [lindex $given 0] }
        open_solution { lappend done solution }
        set_top { lappend done top }
        create_clock { lappend done clock }
        add_files {
            if {![file isfile $given]} { error "no file $given" }
            lappend done [expr {"add_files -tb" in $done ? "tb" : "files"}]
        }
        set_part {
            if {$given ni $parts} { error "ERROR: \[HLS 200-1023\] Part '$given' is not installed." }
            if {"open_component" ni $done && "solution" ni $done} { error "no solution is open" }
            lappend done part
        }
        csynth_design { say csynth.log; make syn/report/csynth.xml }
        cosim_design { make sim/report/lstm_sharp_cosim.rpt }
        export_design { make impl/ip/component.xml }
    }
    if {$fails eq $command} { puts "ERROR: \[HLS 1-1\] $command went wrong"; error "it fails" }
    if {$fails eq "quits in $command"} { exit 0 }
    if {$fails eq "killed in $command"} { exec kill -9 [pid] }
    puts "called: $command"
}

proc say {name} {
    global reports
    set log [open $reports/$name]
    puts [read $log]
    close $log
}

# What a release makes, where it makes it.
proc make {name} {
    global reports done
    set made [expr {"open_component" in $done ? "project/hls" : "project/solution1"}]/$name
    file mkdir [file dirname $made]
    file copy -force $reports/[file tail $name] $made
}

foreach command [dict keys $grammar] {
    proc $command {args} "known $command \$args"
    if {$release < [lindex [dict get $grammar $command] 0]} { rename $command {} }
}
source $script
