package confine

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

func version() int {
	v, err := ll.LandlockGetABIVersion()
	if err != nil {
		return 0
	}
	return v
}

// known are files that describe the system: the Go runtime, DuckDB and the C library look there for memory,
// processors and the time zone.
var known = []string{"/proc/self", "/proc/meminfo", "/proc/cpuinfo", "/sys/fs/cgroup",
	"/sys/devices/system/cpu", "/sys/kernel/mm", "/etc/localtime",
	"/usr/share/zoneinfo", "/dev/urandom"}

// libraries are the folders of shared libraries, and the file in which the loader looks them up.
var libraries = []string{"/etc/ld.so.cache", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"}

// Process gives up access to all files except paths, and to the network. The kernel ignores what it does not
// support; [Support] describes that for users.
func Process(paths Paths) error {
	read := append(known[:len(known):len(known)], paths.Read...)
	if paths.Libraries {
		read = append(read, libraries...)
	}
	var rules []landlock.Rule
	add := func(name string, file, folder landlock.AccessFSSet) {
		switch info, err := os.Stat(name); {
		// Landlock does not restrict pipes that are open
		case err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0:
		case info.IsDir():
			rules = append(rules, landlock.PathAccess(file|folder, name).IgnoreIfMissing())
		default:
			rules = append(rules, landlock.PathAccess(file, name).IgnoreIfMissing())
		}
	}
	for _, name := range read {
		add(name, ll.AccessFSReadFile, ll.AccessFSReadDir)
	}
	for _, name := range append(paths.Write[:len(paths.Write):len(paths.Write)], os.DevNull) {
		add(name, ll.AccessFSReadFile|ll.AccessFSWriteFile|ll.AccessFSTruncate, 0)
	}
	folders := paths.Folders
	if paths.Temporary != "" {
		folders = append(folders[:len(folders):len(folders)], paths.Temporary)
		// Landlock has no right to remove only one folder; this one allows empty ones
		add(filepath.Dir(paths.Temporary), 0, ll.AccessFSRemoveDir)
	}
	for _, name := range folders {
		add(name, ll.AccessFSReadFile|ll.AccessFSWriteFile|ll.AccessFSTruncate,
			ll.AccessFSReadDir|ll.AccessFSMakeReg|ll.AccessFSMakeDir|
				ll.AccessFSRemoveFile|ll.AccessFSRemoveDir|ll.AccessFSRefer)
	}
	for _, port := range paths.Ports {
		rules = append(rules, landlock.BindTCP(uint16(port)))
	}
	config := landlock.Config{
		HandledAccessFS: ll.AccessFSResolveUnix<<1 - 1,
		HandledAccessNet: ll.AccessNetBindTCP | ll.AccessNetConnectTCP |
			ll.AccessNetBindUDP | ll.AccessNetConnectSendUDP,
		Scoped: landlock.ScopedSet(scopes()),
	}
	if err := config.BestEffort().Restrict(rules...); err != nil {
		return fmt.Errorf("give up access to other files: %w", err)
	}
	return nil
}

// scopes returns the kinds of contact with other processes to give up. Each thread of a process has its own
// Landlock domain. A kernel without the fix for Landlock's erratum 2 would keep the threads from signalling
// each other, which Go's scheduler needs.
func scopes() int {
	const mended = 1 << (2 - 1)
	if errata, err := ll.LandlockGetErrata(); err == nil && errata&mended != 0 {
		return ll.ScopeAbstractUnixSocket | ll.ScopeSignal
	}
	return ll.ScopeAbstractUnixSocket
}
