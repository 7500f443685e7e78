package cli

import (
	"errors"
	"os"
	"runtime"
	"runtime/pprof"
)

// profileFlags name the files for profiles of time and memory, for `go tool pprof`; "" is none. C code, above
// all the matrix products, shows up as runtime.cgocall.
type profileFlags struct {
	cpu, memory string
}

// flags defines the flags.
func (p *profileFlags) flags() flagGroup {
	g := newFlagGroup("Profiles")
	g.flags.StringVar(&p.cpu, "cpuprofile", "", "`file` for a CPU profile of the run; go tool pprof reads it")
	g.flags.StringVar(&p.memory, "memprofile", "",
		"`file` for a profile of all allocations, made at the end of the run")
	return g
}

// start creates both files, so that a long run does not fail at the end, and begins the CPU profile. Call
// stop once; it writes the profiles.
func (p *profileFlags) start() (stop func() error, err error) {
	var files []*os.File
	closeAll := func() error {
		var faults []error
		for _, f := range files {
			faults = append(faults, f.Close())
		}
		return errors.Join(faults...)
	}
	create := func(path string) *os.File {
		if path == "" || err != nil {
			return nil
		}
		var f *os.File
		if f, err = os.Create(path); err == nil {
			files = append(files, f)
		}
		return f
	}
	cpu, memory := create(p.cpu), create(p.memory)
	if cpu != nil && err == nil {
		err = pprof.StartCPUProfile(cpu)
	}
	if err != nil {
		return nil, errors.Join(err, closeAll())
	}
	return func() error {
		var fault error
		if cpu != nil {
			pprof.StopCPUProfile()
		}
		if memory != nil {
			runtime.GC() // so that only live memory counts as in use
			fault = pprof.Lookup("allocs").WriteTo(memory, 0)
		}
		return errors.Join(fault, closeAll())
	}, nil
}
