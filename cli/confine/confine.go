// Package confine gives up rights that the process does not need, before it opens a file that may come from
// somebody else. On Linux it uses the kernel's Landlock, as far as the kernel supports it; other systems have
// nothing like it. [Support] describes what is possible here.
//
// It cannot be undone, and applies to all threads.
package confine

// Paths are the rights that a process keeps.
type Paths struct {
	Read      []string // files and folders, with everything below them, to read
	Write     []string // existing devices and files to write to
	Folders   []string // folders in which files may be read, made, replaced and removed
	Temporary string   // the process's temporary folder, which it may also remove; or ""
	Libraries bool     // whether to load the system's shared libraries
	Ports     []int    // TCP ports to listen at; 0 is one that the system chooses
}

// Support says in one line what [Process] can give up on this system, and what not.
func Support() string { return support(version()) }

// support is [Support] for a version of Landlock; 0 is none.
func support(version int) string {
	const has = "Landlock denies access to "
	switch {
	case version < 1:
		return "no Landlock on this system: only DuckDB's own settings keep a query from opening other files"
	case version == 1:
		return has +
			"other files for commands that only read; Linux 5.19 does so for those that write too, " +
			"and 6.7 also for TCP"
	case version < 4:
		return has + "other files; Linux 6.7 does so for TCP too"
	case version < 10:
		return has + "other files and TCP, not to UDP"
	}
	return has + "other files and the network"
}
