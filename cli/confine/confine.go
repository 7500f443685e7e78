// Package confine takes away from the process what it does not need, before it opens a file that a stranger
// may have written. On Linux it asks the kernel's Landlock for it, and takes what is there; other systems
// have nothing of the kind. [Support] says what can be had.
//
// It cannot be undone, and holds for all threads.
package confine

// Paths are what a process keeps.
type Paths struct {
	Read      []string // files and folders, with all that is below, to read
	Write     []string // devices and files that are there, to write to
	Folders   []string // folders in which files are made, replaced and removed, and read
	Temporary string   // one more, of the process's own, which it may also remove when it is empty; or ""
	Libraries bool     // the system's shared libraries may be loaded
}

// Support says in a line what [Process] can take away here, and what not.
func Support() string { return support(version()) }

// support is [Support] for a version of Landlock; 0 is none.
func support(version int) string {
	const has = "Landlock takes other files "
	switch {
	case version < 1:
		return "no Landlock on this system: what keeps a file in its place is DuckDB's own refusal to open others"
	case version == 1:
		return has + "away from commands that only read; Linux 5.19 can do it for those that write, and 6.7 takes TCP away"
	case version < 4:
		return has + "away; Linux 6.7 takes TCP away too"
	case version < 10:
		return has + "and TCP away; not UDP"
	}
	return has + "and the network away"
}
