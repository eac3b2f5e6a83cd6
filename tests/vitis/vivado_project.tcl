# Commands of the stub, those for projects, IP and runs: each takes the options that overlays
# use, and no other.

namespace eval ipx {}
set events {}
set current ""

# Projects and files

proc create_project {args} {
    lassign [options {-force 0} $args] - rest
    lassign $rest name folder option part
    if {$option ne "-part" || $part ni $::parts} { error "part '$part' not found" }
    set ::current $name
    set ::directory $folder
    set ::sources {}
    array unset ::property
    file mkdir $folder
}
proc current_project {} { return project:$::current }
proc current_fileset {} { return fileset:sources_1 }
proc close_project {} { set ::current "" }
proc get_parts {args} {
    lassign [options {-quiet 0} $args] - name
    return [expr {[failing part] || $name ni $::parts ? {} : "part:$name"}]
}
proc get_board_parts {args} {
    lassign [options {-quiet 0} $args] - name
    return [lsearch -all -inline -glob $::env(STUB_BOARDS) [lindex $name 0]]
}
proc add_files {args} {
    lassign [options {-norecurse 0} $args] - files
    foreach file [lindex $files 0] {
        if {![file isfile $file]} { error "no file $file" }
        lappend ::sources $file
    }
}
proc update_compile_order {option fileset} { if {$option ne "-fileset"} { error $option } }
proc version {option} { return $::release }

proc get_files {name} {
    if {$name ne "system.bd" || ![info exists ::design]} { error "no file $name" }
    return file:$name
}
proc generate_target {what file} {
    typed file $file
    if {$what ne "all" || ![info exists ::valid]} { error "the design is not valid" }
    set kind [expr {[failing srcs] ? "srcs" : "gen"}]
    set folder $::directory/$::current.$kind/sources_1/bd/system/hw_handoff
    file mkdir $folder
    if {![failing hwh]} { write $folder/system.hwh "handoff of $::release" }
}
proc make_wrapper {args} {
    lassign [options {-files 1 -top 0 -import 0} $args] given
    typed file [dict get $given -files]
    set ::wrapper system_wrapper
}
proc write {path text} {
    set file [open $path w]
    puts $file $text
    close $file
}

# IP

proc update_ip_catalog {} {
    foreach folder $::property(project:$::current,ip_repo_paths) {
        if {![file isfile $folder/component.xml]} continue
        set file [open $folder/component.xml]
        set text [read $file]
        close $file
        set vlnv {}
        foreach part {vendor library name version} {
            regexp "<spirit:$part>(.*?)</spirit:$part>" $text - value
            lappend vlnv $value
        }
        set ::xml([join $vlnv :]) $text
        lappend ::catalogue [join $vlnv :]
    }
}
proc get_ipdefs {args} {
    lassign [options {-quiet 0} $args] - pattern
    set found {}
    foreach vlnv [lsearch -all -inline -glob $::catalogue [lindex $pattern 0]] {
        lappend found ipdef:$vlnv
    }
    return $found
}

# The packager takes interfaces from names of ports, clock and reset from their attributes.
proc ipx::package_project {args} {
    set spec {-root_dir 1 -vendor 1 -library 1 -taxonomy 1 -import_files 0 -force 0}
    lassign [options $spec $args] given
    set top [lindex $::sources end]
    if {[file extension $top] ne ".v" || [file rootname [file tail $top]] ne
            $::property(fileset:sources_1,top)} {
        error "packaging $top: not the top level, or not in Verilog"
    }
    set file [open $top]
    set text [read $file]
    close $file
    set ports {}
    foreach {- direction msb name} [regexp -all -inline -line \
            {^ *(input|output) wire (?:\[(.*?):0\] )?(\w+),?$} $text] {
        dict set ports $name [list $direction [expr [expr {$msb eq "" ? 0 : $msb}] + 1]]
    }
    set ::busifs {}
    dict for {name port} $ports {
        if {[regexp {^(\w+)_TDATA$} $name - prefix]} {
            set side [expr {[lindex $port 0] eq "input" ? "slave" : "master"}]
            foreach needed {TVALID TREADY TLAST TKEEP} { dict get $ports ${prefix}_$needed }
            dict set ::busifs $prefix [list axis $side [lindex $port 1]]
        } elseif {[regexp {^(\w+)_AWADDR$} $name - prefix]} {
            dict set ::busifs $prefix [list aximm slave 32]
        }
    }
    foreach {- kind name} [regexp -all -inline {xilinx.com:signal:(clock|reset):1.0 (\w+) } $text] {
        dict get $ports $name
        dict set ::busifs $name [list $kind slave 1]
    }
    if {![regexp {ASSOCIATED_BUSIF ([\w:]+)} $text - clocked] ||
            ![string match "*POLARITY ACTIVE_LOW*" $text]} { error "no clock, or no reset" }
    dict for {name busif} $::busifs {
        if {[lindex $busif 0] in {axis aximm} && $name ni [split $clocked :]} {
            error "interface $name has no clock"
        }
    }
    set ::core [dict merge $given {name "" version ""}]
}
proc ipx::current_core {} { return core:engine }
proc ipx::get_bus_interfaces {args} {
    lassign [options {-quiet 0} $args] - rest
    lassign $rest name option core
    typed core $core
    return [expr {$option eq "-of_objects" && [dict exists $::busifs $name] ? "busif:$name" : {}}]
}
proc ipx::create_xgui_files {core} { typed core $core }
proc ipx::update_checksums {core} { typed core $core }
proc ipx::save_core {core} {
    typed core $core
    set folder [dict get $::core -root_dir]
    file mkdir $folder
    set text {}
    foreach {tag key} {vendor -vendor library -library name name version version} {
        append text "<spirit:$tag>[dict get $::core $key]</spirit:$tag>\n"
    }
    dict for {name busif} $::busifs {
        lassign $busif kind side bits
        append text "<busInterface name=\"$name\" kind=\"$kind\" side=\"$side\" bits=\"$bits\"/>\n"
    }
    write $folder/component.xml $text
}

# Properties

set known {project {board_part ip_repo_paths} fileset top file synth_checkpoint_mode
    core {name version} run {PROGRESS STATUS DIRECTORY STATS.TPWS} ipdef VLNV path SLACK}

proc set_property {args} {
    if {[lindex $args 0] eq "-dict"} {
        lassign $args - pairs object
    } else {
        lassign $args name value object
        set pairs [list $name $value]
    }
    set type [lindex [split $object :] 0]
    foreach {name value} $pairs {
        if {$type eq "cell"} {
            set cell [typed cell $object]
            set allowed $::parameters([ip_of $cell])
            if {![regsub {^CONFIG\.} $name {} name] || ![dict exists $allowed $name]} {
                error "no property $name of $cell"
            }
            set values [string map {\\\\ \\} [dict get $allowed $name]]
            if {$value ni $values && ![regexp "^$values\$" $value]} {
                error "$name of $cell: $value"
            }
            dict set ::config($cell) $name $value
            dict set ::told($cell) $name $value
        } elseif {![dict exists $::known $type] || $name ni [dict get $::known $type]} {
            error "no property $name of '$object'"
        } elseif {$type eq "core"} {
            dict set ::core $name $value
        } else {
            set ::property($object,$name) $value
        }
    }
}
proc get_property {name objects} {
    set values {}
    foreach object $objects {
        set type [lindex [split $object :] 0]
        set rest [join [lrange [split $object :] 1 end] :]
        if {$name ni [dict get $::known $type]} { error "no property $name of $object" }
        switch $type {
            ipdef { lappend values $rest }
            path { lappend values [slack_of $rest] }
            run { lappend values [run_property $name $rest] }
            default { error "nobody asks for $name" }
        }
    }
    return [expr {[llength $objects] == 1 ? [lindex $values 0] : $values}]
}

# Runs

array set progress {synth_1 0% impl_1 0%}
proc get_runs {name} {
    if {![info exists ::progress($name)]} { error "no run $name" }
    return run:$name
}
proc launch_runs {name args} {
    lassign [options {-to_step 1} $args] given
    if {$::property(fileset:sources_1,top) ne $::wrapper || ![info exists ::valid]
            || ($name eq "impl_1" && $::progress(synth_1) ne "100%")} { error "$name has no input" }
    set step [expr {[dict exists $given -to_step] ? [dict get $given -to_step] : $name}]
    if {$step ni {synth_1 impl_1 write_bitstream}} { error "no step $step" }
    event $step
    set ::progress($name) [expr {[failing $step] ? "42%" : "100%"}]
    set folder [run_property DIRECTORY $name]
    file mkdir $folder
    if {$step eq "write_bitstream" && ![failing $step]} { write $folder/$::wrapper.bit bits }
}
proc wait_on_run {name} {
    if {[failing wait] && $::progress($name) ne "100%"} { error "Run '$name' failed" }
}
proc run_property {name run} {
    switch $name {
        PROGRESS { return $::progress($run) }
        STATUS { return [expr {$::progress($run) eq "100%" ? "$run Complete!" : "$run ERROR"}] }
        DIRECTORY { return $::directory/$::current.runs/$run }
        STATS.TPWS { return [expr {[failing pulse] ? -0.2 : 0.0}] }
    }
}
proc open_run {name} {
    if {$name ne "impl_1" || $::progress(impl_1) ne "100%"} { error "$name cannot be opened" }
    set ::opened 1
}
proc close_design {} { unset ::opened }
proc report_timing_summary {option file} { report $option $file "timing" }
proc report_utilization {args} {
    set zynq7 [string match xc7z* $::part]
    set kind [expr {$zynq7 ? "Slice" : "CLB"}]
    set star [expr {$zynq7 ? "" : "*"}]
    set text "| $kind LUTs$star  | 12345 |     0 |\n| $kind Registers |  2345 |\n"
    append text "| Block RAM Tile | 67.5 |\n| DSPs           |  210 |\n"
    if {!$zynq7} { append text "| URAM |   96 |\n" }
    if {$args eq "-return_string"} { return $text }
    report {*}$args $text
}
proc report {option file text} {
    if {$option ne "-file" || ![info exists ::opened]} { error "no design is open" }
    write $file $text
}
proc get_timing_paths {args} {
    lassign [options {-quiet 0 -delay_type 1 -max_paths 1} $args] given
    if {![info exists ::opened]} { error "no design is open" }
    set kind [dict get $given -delay_type]
    event slack $kind
    return [expr {[failing unconstrained] ? {} : "path:$kind"}]
}
proc slack_of {kind} {
    if {[failing untimed]} { return inf }
    if {[failing setup] && $kind eq "max"} { return -0.123 }
    if {[failing hold] && $kind eq "min"} { return -0.045 }
    return [dict get {max 0.321 min 0.012} $kind]
}
